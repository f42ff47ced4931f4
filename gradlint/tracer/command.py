"""`gradlint trace SCRIPT [options] [-- script arguments]`, and what `gradlint check --trace` adds to its diagnostics."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from gradlint.catalog import Catalog, RuleSpec
from gradlint.diagnostics import Diagnostic
from gradlint.errors import GradlintError, MissingExtraError, UsageError
from gradlint.tracer.schema import TraceRecord

Lint = Callable[[str], tuple[Sequence[Diagnostic], Mapping[str, RuleSpec]]]
"""The static wing: a script's diagnostics, and the selected rules by name."""

FORMATS = ("text", "json")
FAIL_ON = ("confirmed", "any", "refuted")


@dataclass(frozen=True)
class Judged:
    """What `check --trace` gets back: all diagnostics with verdicts, and a sentence for each script that was not traced."""

    diagnostics: tuple[Diagnostic, ...]
    failing: tuple[Diagnostic, ...]
    problems: tuple[str, ...]


def main(argv: Sequence[str], settings: Mapping[str, Any] | None = None, *, lint: Lint | None = None) -> int:
    """Trace one script, print the report, and return the exit code.

    `settings` is the configuration's `[trace]` table; options on the command line win. `lint` gives the static findings to
    judge; without it only the tracer's own are reported. 0: nothing that `--fail-on` names; 1: such diagnostics; 2: the
    script could not be traced.
    """
    try:
        own, script_arguments = _split(argv)
        options = _parser(settings or {}).parse_args(own)
        return _trace(options, script_arguments, lint)
    except GradlintError as error:
        print(f"gradlint: {error}", file=sys.stderr)
        return error.exit_code


def check_with_trace(
    diagnostics: Sequence[Diagnostic],
    scripts: Sequence[str],
    *,
    rules: Mapping[str, RuleSpec],
    settings: Mapping[str, Any] | None = None,
    fail_on: str = "any",
) -> Judged:
    """Trace every script and join its measurements with the diagnostics of `gradlint check`.

    `diagnostics`: those of the static wing, of any file; each is judged by every trace that says something about it, and
    the most telling verdict stays (confirmed before refuted before inconclusive). `scripts`: the files to run, in order.
    `rules`: the selected rules by name; the tracer's own findings are limited to them. `settings`: the configuration's
    `[trace]` table. Raises MissingExtraError without networkx, UsageError for a `fail_on` or setting that does not exist.
    """
    if fail_on not in FAIL_ON:
        raise UsageError(f"--fail-on: `{fail_on}` is not one of {', '.join(FAIL_ON)}")
    outcome_module = _outcome_module()
    options = _parser(settings or {}).parse_args(["-"])
    judged = list(diagnostics)
    problems: list[str] = []
    rank = {"confirmed": 0, "refuted": 1, "inconclusive": 2}
    for script in scripts:
        options.script = script
        outcome = outcome_module.join(_record(options, []), diagnostics, rules.get)
        if outcome.failure:
            problems.append(f"{script}: {outcome.failure}")
        known = {_identity(item): item for item in outcome.diagnostics}
        for index, item in enumerate(judged):
            new = known.pop(_identity(item), item)
            if new.verdict is not None and (item.verdict is None or rank[new.verdict.verdict] < rank[item.verdict.verdict]):
                judged[index] = new
        judged.extend(known.values())
    judged.sort(key=lambda item: item.sort_key)
    failing = outcome_module.failing(judged, fail_on)
    return Judged(tuple(judged), tuple(failing), tuple(problems))


def _identity(item: Diagnostic) -> tuple[str, str, int, int]:
    return (item.name, item.filename, item.range.line, item.range.column)


def _trace(options: argparse.Namespace, script_arguments: list[str], lint: Lint | None) -> int:
    if not os.path.isfile(options.script):
        raise UsageError(f"{options.script}: no such script")
    outcome_module = _outcome_module()
    static: Sequence[Diagnostic] = ()
    if lint is not None:
        static, rules = lint(options.script)
    else:
        rules = Catalog().rules
    outcome = outcome_module.join(_record(options, script_arguments), static, rules.get)
    if options.save_graph:
        outcome.graph.save(options.save_graph)
    if options.plot and not outcome.failure:
        from gradlint.tracer.report import plot

        plot.draw(outcome, options.plot)
    if options.output_format == "json":
        from gradlint.tracer.report import data

        text = data.to_json(outcome) + "\n"
    else:
        from gradlint.tracer.report import terminal

        text = terminal.render(outcome, colour=_colour(options.color))
    sys.stdout.write(text)
    if outcome.failure:
        print(f"gradlint: {options.script}: {outcome.failure}", file=sys.stderr)
        return 2
    return 1 if outcome.failing(options.fail_on) else 0


def _outcome_module() -> Any:
    try:
        from gradlint.tracer import outcome
    except ImportError as error:
        raise MissingExtraError(f"tracing needs {error.name}: install gradlint with the extra `trace`") from None
    return outcome


def _record(options: argparse.Namespace, script_arguments: list[str]) -> TraceRecord:
    raise NotImplementedError(options, script_arguments)


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our arguments, and the script's after `--`."""
    arguments = list(argv)
    if "--" not in arguments:
        return arguments, []
    cut = arguments.index("--")
    return arguments[:cut], arguments[cut + 1 :]


def _colour(choice: str) -> bool:
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stdout.isatty()


class _Parser(argparse.ArgumentParser):
    """One sentence in place of argparse's usage block; exit code 2 through UsageError."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"trace: {message}")


def _parser(settings: Mapping[str, Any]) -> argparse.ArgumentParser:
    raise NotImplementedError(settings)
