"""The command. A run that finds nothing changed ends here; everything else is imported after that."""

from __future__ import annotations

import sys

GARBAGE = 100_000
"""Objects made before the collector looks for garbage among them (Python's own default: 700)."""


def main(arguments: list[str] | None = None) -> int:
    """Run gradlint and return its exit code."""
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print("gradlint: interrupted", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    from gradlint import replay

    answer = replay.find(arguments)
    if answer is not None:
        sys.stdout.write(answer[0])
        sys.stdout.flush()
        return answer[1]
    from gradlint import quick

    if quick.dismiss(arguments):
        sys.stdout.write(quick.CLEAN)
        return 0
    import gc

    from gradlint.cli import run

    # A file's facts are one big web that is dropped as a whole: looking for garbage in it on the way costs a fifth.
    gc.set_threshold(GARBAGE)
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
