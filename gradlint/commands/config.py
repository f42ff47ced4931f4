"""`gradlint config`: the keys of a configuration file."""

from __future__ import annotations

from gradlint.cli import Parser
from gradlint.config import KEYS
from gradlint.errors import UsageError
from gradlint.selection import suggestion


def main(arguments: list[str]) -> int:
    """Print all keys, or those that are named."""
    parser = Parser(
        prog="gradlint config", description="List the settings of a configuration file.", allow_abbrev=False
    )
    parser.add_argument("keys", nargs="*", metavar="KEY")
    options = parser.parse_args(arguments)
    for key in options.keys:
        if key not in KEYS:
            raise UsageError(f"unknown key `{key}`{suggestion(key, KEYS)}")
    width = max(map(len, KEYS))
    for key in options.keys or KEYS:
        print(f"{key:{width}}  {KEYS[key].metadata['kind']:12}  {KEYS[key].metadata['description']}")
    return 0
