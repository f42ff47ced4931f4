"""The command. A run that finds nothing changed ends here; everything else is imported after that."""

from __future__ import annotations

import gc
import os
import sys

GARBAGE = 100_000
"""Objects made before the collector looks for garbage among them (Python's own default: 700)."""


def main(arguments: list[str] | None = None) -> int:
    """Run gradlint and return its exit code."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        if arguments is None:
            gc.freeze()  # all of it ends with this process: nobody need look for garbage in it first
        if not sys.stdout.closed:  # as the language server leaves it
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("gradlint: interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # a reader that has seen enough is no reason to complain
            print(f"gradlint: the output cannot be written: {error.strerror or error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2


def _run(arguments: list[str]) -> int:
    from gradlint import replay

    answer = replay.find(arguments)
    if answer is not None:
        sys.stderr.write(answer[1])
        sys.stdout.write(answer[0])
        return answer[2]
    from gradlint import quick

    if quick.dismiss(arguments):
        sys.stdout.write(quick.CLEAN)
        return 0
    clean = quick.known_clean(arguments)
    if clean is not None:
        sys.stdout.write(clean)
        return 0
    from gradlint.cli import run

    # A file's facts are one big web that is dropped as a whole: looking for garbage in it on the way costs a fifth.
    gc.set_threshold(GARBAGE)
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
