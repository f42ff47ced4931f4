"""`gradlint clean`: empty the cache."""

from __future__ import annotations

import sys
from pathlib import Path

from gradlint import cache
from gradlint.cli import Parser


def build() -> Parser:
    """The options of `gradlint clean`."""
    parser = Parser(prog="gradlint clean", description="Delete the cache of this project.", allow_abbrev=False)
    parser.add_argument("--cache-dir", metavar="FOLDER", help="the folder to delete (also: $GRADLINT_CACHE_DIR)")
    return parser


def main(arguments: list[str]) -> int:
    """Delete the cache folder of this project."""
    options = build().parse_args(arguments)
    folder = Path(options.cache_dir) if options.cache_dir else cache.default_folder()
    try:
        removed = cache.clean(folder)
    except OSError as error:
        print(f"gradlint: {error}", file=sys.stderr)
        return 2
    print(f"removed {folder}" if removed else f"no cache at {folder}", file=sys.stderr)
    return 0
