"""`gradlint config`: the keys of a configuration file."""

from __future__ import annotations

import json

from gradlint.cli import Parser
from gradlint.config import KEYS
from gradlint.errors import UsageError
from gradlint.selection import suggestion


def build() -> Parser:
    """The options of `gradlint config`."""
    parser = Parser(
        prog="gradlint config", description="List the settings of a configuration file.", allow_abbrev=False
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help="only these")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a configuration file")
    return parser


def main(arguments: list[str]) -> int:
    """Print all keys, or those that are named, or the schema of all."""
    options = build().parse_args(arguments)
    if options.schema:
        from gradlint.catalog import Catalog
        from gradlint.config_schema import schema

        print(json.dumps(schema(Catalog()), indent=2, ensure_ascii=False))
        return 0
    for key in options.keys:
        if key not in KEYS:
            raise UsageError(f"unknown key `{key}`{suggestion(key, KEYS)}")
    width = max(map(len, KEYS))
    for key in options.keys or KEYS:
        print(f"{key:{width}}  {KEYS[key].metadata['kind']:12}  {KEYS[key].metadata['description']}")
    return 0
