"""`gradlint trace SCRIPT [options] [-- script arguments]`, and what `gradlint check --trace` adds to its findings."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from gradlint.catalog import Catalog, RuleSpec
from gradlint.diagnostics import Diagnostic, Finding
from gradlint.errors import ConfigError, GradlintError, MissingExtraError, UsageError
from gradlint.selection import suggestion
from gradlint.tracer.schema import TraceRecord

FORMATS = ("text", "json")
EVERYTHING = ("curvature", "same-batch")
LAST_LINES = 10
FAIL_ON = ("confirmed", "any", "refuted")


@dataclass(frozen=True)
class Static:
    """What the static wing says of a script: its diagnostics, the selected rules, and their options, by name.

    `accepts` tells whether a finding of the tracer's own passes settings and suppressions; `problems` are sentences
    about static work that could not be done.
    """

    diagnostics: Sequence[Diagnostic]
    rules: Mapping[str, RuleSpec]
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    accepts: Callable[[Finding], bool] = lambda finding: True
    problems: Sequence[str] = ()


Lint = Callable[[Sequence[str]], Static]


@dataclass(frozen=True)
class Judged:
    """All diagnostics with verdicts, those that fail the gate, and a sentence for each script that was not traced."""

    diagnostics: tuple[Diagnostic, ...]
    failing: tuple[Diagnostic, ...]
    problems: tuple[str, ...]


def main(argv: Sequence[str], settings: Mapping[str, Any] | None = None, *, lint: Lint | None = None) -> int:
    """Trace one script, print the report, and return the exit code.

    `settings` is the configuration's `[trace]` table; options on the command line win. `lint` gives the static findings
    to judge, of the script and of the user's files that built its layers; without it only the tracer's own are
    reported. 0: nothing that `--fail-on` names; 1: such diagnostics;
    2: the script could not be traced.
    """
    try:
        own, script_arguments = _split(argv)
        options = _options(own, settings or {})
        return _trace(options, script_arguments, lint)
    except GradlintError as error:
        print(f"gradlint: {error}", file=sys.stderr)
        return error.exit_code


def check_with_trace(
    static: Static,
    scripts: Sequence[str],
    *,
    settings: Mapping[str, Any] | None = None,
    fail_on: str = "any",
) -> Judged:
    """Trace every script and join its measurements with the diagnostics of `gradlint check`.

    `static`: diagnostics of any file; each is judged by every trace that says something about it, and the most telling
    verdict stays (confirmed before refuted before inconclusive). The tracer's own findings are limited to the selected
    rules. `scripts`: the files to run, in order. `settings`: the configuration's `[trace]` table. Raises
    MissingExtraError without networkx or psutil, UsageError or ConfigError for a `fail_on` or setting that does not
    exist.
    """
    if fail_on not in FAIL_ON:
        raise UsageError(f"--fail-on: `{fail_on}` is not one of {', '.join(FAIL_ON)}")
    outcome_module = _outcome_module()
    options = _options(["-"], settings or {})
    measure = EVERYTHING if {"high-learning-rate", "learning-rate-above-curvature"} & set(static.rules) else ()
    judged = list(static.diagnostics)
    problems: list[str] = []
    rank = {"confirmed": 0, "refuted": 1, "inconclusive": 2}
    for script in scripts:
        options.script = script
        outcome = outcome_module.join(
            _record(options, [], measure, static.diagnostics),
            static.diagnostics,
            static.rules.get,
            static.options,
            static.accepts,
        )
        if outcome.failure:
            problems.append(f"{outcome.stopped_at}: {outcome.failure}")
        known = {_identity(item): item for item in outcome.diagnostics}
        for index, item in enumerate(judged):
            new = known.pop(_identity(item), item)
            if new.verdict is not None and (
                item.verdict is None or rank[new.verdict.verdict] < rank[item.verdict.verdict]
            ):
                judged[index] = new
        judged.extend(known.values())
    judged.sort(key=lambda item: item.sort_key)
    failing = outcome_module.failing(judged, fail_on)
    return Judged(tuple(judged), tuple(failing), tuple(problems))


def _identity(item: Diagnostic) -> tuple[str, str, int | None, int, int]:
    return (item.name, item.filename, item.cell, item.range.line, item.range.column)


def _trace(options: argparse.Namespace, script_arguments: list[str], lint: Lint | None) -> int:
    if not os.path.isfile(options.script):
        raise UsageError(f"{options.script}: no such script")
    outcome_module = _outcome_module()
    static = Static((), Catalog().rules) if lint is None else lint([options.script])
    record = _record(options, script_arguments, EVERYTHING, static.diagnostics)
    if lint is not None and (imported := _files_of_layers(record)):
        static = lint([options.script, *imported])
    outcome = outcome_module.join(
        record,
        static.diagnostics,
        static.rules.get,
        static.options,
        static.accepts,
    )
    if options.output_format == "json":
        from gradlint.tracer.report import data

        text = data.to_json(outcome) + "\n"
    else:
        from gradlint.tracer.report import terminal

        text = terminal.render(outcome, colour=_colour(options.color))
    sys.stdout.write(text)
    if outcome.failure:
        said = outcome.record["stderr"].strip().splitlines()[-LAST_LINES:]
        print(*said, f"gradlint: {outcome.stopped_at}: {outcome.failure}", sep="\n", file=sys.stderr)
        return 2
    problems = [*static.problems, *_unverified(record)]
    for problem in problems:
        print(f"gradlint: {problem}", file=sys.stderr)
    if options.save_graph:
        outcome.graph.save(options.save_graph)
    if options.plot:
        from gradlint.tracer.report import plot

        plot.draw(outcome, options.plot)
    if problems:
        return 2
    return 1 if outcome.failing(options.fail_on) else 0


def _files_of_layers(record: TraceRecord) -> list[str]:
    """The user's other files that built layers which ran: what is found there is about this trace as well."""
    from gradlint.report import shown

    places = [place for node in record["nodes"] if (place := node["constructed"]) is not None]
    script = os.path.realpath(record["script"])
    files = sorted({os.path.realpath(place["file"]) for place in places} - {script})
    return [shown(file) for file in files if os.path.isfile(file)]


def _unverified(record: TraceRecord) -> list[str]:
    """A sentence where `--verify` found that the traced run was not the untraced one."""
    verification = record["verification"]
    if verification is None or verification["identical"]:
        return []
    differences = verification["differences"]
    more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
    return [f"not verified: tracing changed the run: {', '.join(differences[:3])}{more}"]


def _outcome_module() -> Any:
    try:
        from gradlint.tracer import outcome
    except ImportError as error:
        raise MissingExtraError(f"tracing needs {error.name}: install gradlint with the extra `trace`") from None
    return outcome


def _record(
    options: argparse.Namespace, script_arguments: list[str], measure: tuple[str, ...], claimed: Sequence[Diagnostic]
) -> TraceRecord:
    from gradlint.tracer.run import TraceOptions, trace
    from gradlint.tracer.verdicts import awaited

    def tell(sentence: str) -> None:
        if not options.quiet:
            print(f"gradlint: {sentence}", file=sys.stderr, flush=True)

    tell(f"tracing {options.script}, {options.timeout:g} s at most an attempt")
    return trace(
        Path(options.script),
        script_arguments,
        TraceOptions(
            python=options.python,
            device=options.device,
            steps=options.steps,
            timeout=options.timeout,
            memory=int(options.memory * 2**30),
            setup=None if options.setup is None else Path(options.setup),
            inputs=options.input,
            in_place=options.in_place,
            run=not options.no_run,
            verify=options.verify,
            network=options.network,
            seed=options.seed,
            measure=measure,
            awaited=tuple(sorted(awaited(item.name for item in claimed))),
            input_shape=options.input_shape,
            input_dtype=options.input_dtype,
            target=options.target,
        ),
        tell,
    )


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


def parser() -> argparse.ArgumentParser:
    """Every option of the command; `[trace]` of the configuration has the same names."""
    options = _Parser(
        prog="gradlint trace",
        description="Run one training step of a script in isolation and judge each finding by what it measures.",
        epilog="Arguments after -- go to the script.",
        allow_abbrev=False,
    )
    options.add_argument("script", help="the training script, started as `python SCRIPT` would start it")
    report = options.add_argument_group("report")
    report.add_argument("--output-format", choices=FORMATS, default="text")
    report.add_argument("--plot", metavar="FILE", help="draw gradient flow and TraceGraph into a .png or .svg file")
    report.add_argument("--save-graph", metavar="FILE", help="write the TraceGraph as .json, .graphml or .dot")
    report.add_argument("--fail-on", choices=FAIL_ON, default="any", help="findings that make the exit code 1")
    report.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    report.add_argument("--quiet", "-q", action="store_true", help="no progress on standard error")
    running = options.add_argument_group("running the script")
    running.add_argument(
        "--python", metavar="PATH", help="interpreter; the project's own virtual environment by default"
    )
    running.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    running.add_argument("--steps", type=_positive, default=3, metavar="N", help="OptimizerSteps to see (3)")
    running.add_argument("--seed", type=int, default=0, metavar="N")
    running.add_argument("--setup", metavar="FILE", help="Python file to run before the script")
    running.add_argument(
        "--no-run", action="store_true", help="build model, loss and optimizer without running the loop"
    )
    running.add_argument(
        "--input", metavar="MODULE:FUNCTION", help="function that returns the model's inputs, for --no-run"
    )
    running.add_argument("--input-shape", type=_shape, metavar="N,N,…", help="shape of the model's input, for --no-run")
    running.add_argument("--input-dtype", metavar="DTYPE")
    running.add_argument("--target", metavar="SPEC", help="what the loss is compared with, for --no-run")
    bounds = options.add_argument_group("bounds")
    bounds.add_argument("--timeout", type=_seconds, default=120.0, metavar="S", help="seconds for one attempt (120)")
    bounds.add_argument("--memory", type=_seconds, default=8.0, metavar="GIB", help="memory of all its processes (8)")
    bounds.add_argument("--network", action="store_true", help="let the script use the network")
    bounds.add_argument("--in-place", action="store_true", help="run in the script's own folder, not in a copy")
    bounds.add_argument(
        "--verify", action="store_true", help="prove that tracing changes nothing, by a second bare run"
    )
    return options


def _options(argv: Sequence[str], settings: Mapping[str, Any]) -> argparse.Namespace:
    """Command line over configuration over defaults. Raises UsageError or ConfigError."""
    options = parser()
    return options.parse_args([*_as_arguments(settings, options), *argv])


def _as_arguments(settings: Mapping[str, Any], options: argparse.ArgumentParser) -> list[str]:
    """The configuration's `[trace]` table as the arguments it stands for."""
    known = {option[2:] for option in options._option_string_actions if option.startswith("--")} - {"help"}
    arguments: list[str] = []
    for key, value in settings.items():
        if key not in known:
            raise ConfigError(f"[trace]: unknown key `{key}`{suggestion(key, known)}")
        if value is True:
            arguments.append(f"--{key}")
        elif isinstance(value, list):
            arguments.append(f"--{key}={','.join(str(item) for item in value)}")
        elif value is not False:
            arguments.append(f"--{key}={value}")
    return arguments


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.replace("x", ",").split(","))
