"""`gradlint check`: lint, print, remember."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from gradlint import baseline, quick, replay
from gradlint import cache as caching
from gradlint.cache import Cache
from gradlint.cli import Parser
from gradlint.commands._options import add_configuration, add_selection, finder
from gradlint.config import KEYS, Settings
from gradlint.engine import Engine
from gradlint.errors import UsageError
from gradlint.fixes import applicable, write
from gradlint.fixing import Choice, Fixed, fix, ignoring
from gradlint.join import Joiner
from gradlint.progress import Progress
from gradlint.report import Report, Sources
from gradlint.reporters import formats, reporter
from gradlint.source import from_buffer

STDIN = "-"
NAMELESS = "stdin.py"


def build() -> Parser:
    """The options of `gradlint check`."""
    parser = Parser(
        prog="gradlint",
        usage="gradlint [check] [options] [paths]",
        description="Lint PyTorch training code.",
        epilog="exit code: 0 clean, 1 diagnostics, 2 gradlint could not do its work",
        allow_abbrev=False,
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files, folders, or - for stdin (default: .)")
    rules = parser.add_argument_group("rules")
    add_selection(rules)
    fixes = parser.add_argument_group("fixes")
    fixes.add_argument("--fix", action=argparse.BooleanOptionalAction, help="apply safe fixes")
    fixes.add_argument("--unsafe-fixes", action=argparse.BooleanOptionalAction, help="apply other fixes too")
    fixes.add_argument("--diff", action="store_true", help="print what --fix would change, change nothing")
    fixes.add_argument("--add-ignore", action="store_true", help="write a suppression comment for each finding")
    fixes.add_argument("--exit-non-zero-on-fix", action="store_true", help="end with 1 if anything was fixed")
    fixes.add_argument("--baseline", metavar="FILE", help="do not report what this file accepts")
    output = parser.add_argument_group("output")
    output.add_argument("--output-format", metavar="FORMAT", help=", ".join(formats()))
    output.add_argument("--output-file", metavar="FILE", help="write the report there instead of to stdout")
    output.add_argument("--statistics", action="store_true", help="count findings by rule")
    output.add_argument("--show-files", action="store_true", help="list the files that would be linted")
    output.add_argument("--show-settings", action="store_true", help="print the settings of the first file")
    output.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="(default: auto)")
    output.add_argument("-q", "--quiet", action="store_true", help="print diagnostics only")
    output.add_argument("-v", "--verbose", action="store_true", help="show tracebacks and what is being done")
    files = parser.add_argument_group("files and settings")
    add_configuration(files)
    files.add_argument(
        "--exclude", action="append", metavar="PATTERN", help="do not look at these instead of the usual"
    )
    files.add_argument("--extend-exclude", action="append", metavar="PATTERN", help="do not look at these either")
    files.add_argument("--respect-gitignore", action=argparse.BooleanOptionalAction, help="skip what git ignores")
    files.add_argument("--force-exclude", action=argparse.BooleanOptionalAction, help="exclude named files too")
    files.add_argument("--stdin-filename", metavar="PATH", help="the name of what comes on stdin")
    run = parser.add_argument_group("running")
    run.add_argument(
        "--trace", action="store_true", help="run the named scripts for a few steps and judge each finding"
    )
    run.add_argument("--fail-on", metavar="VERDICT", help="with --trace: confirmed, any (default) or refuted findings")
    run.add_argument("--exit-zero", action="store_true", help="end with 0 even if there are diagnostics")
    run.add_argument("-w", "--watch", action="store_true", help="run again whenever a file changes")
    run.add_argument("-j", "--jobs", type=int, metavar="N", help="worker processes (default: 1; 0: one a core)")
    run.add_argument("--no-cache", action="store_true", help="neither read nor write the cache")
    run.add_argument("--cache-dir", metavar="FOLDER", help="where the cache lies (also: $GRADLINT_CACHE_DIR)")
    return parser


def main(arguments: list[str]) -> int:
    """Lint the paths and print the report."""
    options = build().parse_args(arguments)
    _check_trace(options)
    if options.watch:
        from gradlint.commands import _watch

        _watch.refuse(options)
        return _watch.watch(options.paths or ["."], lambda note: _run(options, note, None))
    recorder = replay.Recorder(sys.argv[1:])
    return _run(options, recorder.note, recorder)


def _run(options: argparse.Namespace, note: Callable[[str], None], recorder: replay.Recorder | None) -> int:
    find = finder(options, note)
    settings = find.settings("")
    render = reporter(settings.output_format)
    buffers, jobs = _buffers(options), _jobs(options)
    cache = _cache(options)
    progress = Progress(quiet=options.quiet)

    def engine_for(changed: Mapping[str, str | bytes]) -> Engine:
        changed = {**buffers, **changed}
        return Engine(find, cache=cache, buffers=changed, jobs=jobs, note=note, progress=progress.step)

    engine = engine_for({})
    try:
        if settings.needs_check:
            engine.plan(settings)
        paths = [options.stdin_filename or NAMELESS if path == STDIN else path for path in options.paths]
        files, problems = engine.discover(paths or ["."])
        if options.show_files:
            print("".join(f"{path}\n" for path in files), end="")
            return _problems(problems)
        if options.show_settings:
            print(_shown_settings(engine, files))
            return _problems(problems)
        if settings.fix or options.diff or options.add_ignore:
            fixed = fix(engine_for, files, _choice(options, settings))
            report, survey = fixed.report, fixed.survey
        else:
            fixed = None
            survey = engine.survey(files)
            report = Joiner(engine, survey, Sources(engine.buffers)).report()
    finally:
        progress.close()
        if cache is not None:
            cache.close()
    problems += survey.problems
    if fixed is not None:
        problems += _deliver(fixed, options, buffers)
    failing = None
    if options.trace:
        from gradlint import judging

        chosen = {**settings.trace, "quiet": options.quiet or settings.trace.get("quiet", False)}
        judged = judging.judge(engine, survey, report, chosen, options.fail_on)
        problems += judged.problems
        failing = judged.failing
    if settings.baseline:
        note(settings.baseline)
        baseline.accept(report, Path(settings.baseline))
    if not files and not problems:
        print("gradlint: no Python files or notebooks under the given paths", file=sys.stderr)
    report.quiet, report.is_whole = options.quiet, not problems
    report.colour = _colour(options) and not options.output_file
    text = "".join(_statistics(report) if options.statistics else render(report))
    failed = report.diagnostics if failing is None else [item for item in report.diagnostics if item in failing]
    code = 1 if failed and not options.exit_zero else 0
    if fixed is not None:
        if options.diff:
            return _problems(problems) or int(bool(fixed.after) and not options.exit_zero)
        if fixed.after and options.exit_non_zero_on_fix:
            code = 1
    notes = "" if options.quiet else "".join(f"gradlint: {note}\n" for note in sorted(survey.notes))
    sys.stderr.write(notes)
    _write(text, options.output_file, to_stderr=fixed is not None and bool(buffers))
    if problems:
        if options.verbose:
            print("\n".join(survey.tracebacks), file=sys.stderr)
        return _problems(problems)
    if cache is not None and survey.is_stable and files and recorder is not None:
        recorder.store(str(cache.folder), text, code, notes)
        if text in ("", quick.CLEAN) and not (code or notes or report.diagnostics or fixed):
            quick.remember(recorder, sys.argv[1:], str(cache.folder), text)
    return code


def _check_trace(options: argparse.Namespace) -> None:
    """Refuse what does not go with a trace, or makes no sense without one. Raises UsageError."""
    if options.fail_on is not None and not options.trace:
        raise UsageError("--fail-on: without --trace there are no verdicts")
    if not options.trace:
        return
    if options.diff:
        raise UsageError("--trace runs what is on disk: it does not go with --diff")
    from gradlint.judging import scripts

    scripts(options.paths)


def _choice(options: argparse.Namespace, settings: Settings) -> Choice:
    if options.add_ignore:
        return ignoring
    return lambda diagnostics, sources: applicable(diagnostics, unsafe=settings.unsafe_fixes)


def _deliver(fixed: Fixed, options: argparse.Namespace, buffers: Mapping[str, str | bytes]) -> list[str]:
    """Print the difference, write stdin's new text to stdout, or replace the files; a problem for each that failed."""
    problems = []
    for path, after in fixed.after.items():
        before = fixed.before[path]
        if options.diff:
            old, new = (data.decode("utf-8", "replace").splitlines(keepends=True) for data in (before, after))
            sys.stdout.writelines(difflib.unified_diff(old, new, path, path))
        elif path not in buffers:
            try:
                write(path, before, after)
            except OSError as error:
                problems.append(f"{path}: not written: {error.strerror or error}")
                fixed.counts.pop(path, None)
    if buffers and not options.diff:
        for path, data in buffers.items():
            sys.stdout.write(from_buffer(fixed.after.get(path, data), path).text)
    return problems


def _problems(problems: list[str]) -> int:
    for problem in problems:
        print(f"gradlint: {problem}", file=sys.stderr)
    return 2 if problems else 0


def _cache(options: argparse.Namespace) -> Cache | None:
    if options.no_cache:
        return None
    folder = Path(options.cache_dir) if options.cache_dir else caching.default_folder()
    return Cache(folder, replay.stamp())


def _buffers(options: argparse.Namespace) -> dict[str, str | bytes]:
    if STDIN not in options.paths:
        return {}
    if sys.stdin is None:
        raise UsageError("-: stdin is closed")
    data = sys.stdin.buffer.read()
    return {options.stdin_filename or NAMELESS: data}


def _jobs(options: argparse.Namespace) -> int:
    if options.jobs is None:
        return 1
    if options.jobs < 0:
        raise UsageError(f"--jobs: {options.jobs} is negative")
    return options.jobs or os.cpu_count() or 1


def _colour(options: argparse.Namespace) -> bool:
    if options.color != "auto":
        return bool(options.color == "always")
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _write(text: str, path: str | None, *, to_stderr: bool) -> None:
    if path is None:
        stream = sys.stderr if to_stderr else sys.stdout
        stream.write(text)
        stream.flush()
        return
    try:
        Path(path).write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"--output-file: {path}: {error.strerror}") from None


def _statistics(report: Report) -> list[str]:
    counts: dict[tuple[str, str], int] = {}
    for item in report.diagnostics:
        counts[item.code, item.name] = counts.get((item.code, item.name), 0) + 1
    width = max((len(str(count)) for count in counts.values()), default=0)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [f"{str(count).rjust(width)}\t{code}\t{name}\n" for (code, name), count in ordered]


def _shown_settings(engine: Engine, files: list[str]) -> str:
    settings: Settings = engine.settings(files[0]) if files else engine.settings("x")
    plan = engine.plan(settings)
    rules = engine.catalog(settings).rules
    lines = [f"configuration: {settings.path or 'none'}", f"root: {settings.root}"]
    lines += [f"{key}: {_plain(getattr(settings, field.name))}" for key, field in KEYS.items()]
    lines.append("rules:")
    lines += [f"  {rule.code} {rule.name}" for rule in rules.values() if rule.name in plan.selected]
    return "\n".join(lines)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [getattr(item, "text", item) for item in value]
    return value
