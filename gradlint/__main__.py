"""The command. A run that finds nothing changed ends here; everything else is imported after that."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run gradlint and return its exit code."""
    if arguments is None:
        arguments = sys.argv[1:]
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
    from gradlint.cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
