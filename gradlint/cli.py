"""The command line: reads arguments, lets one command do its work, turns expected failures into one sentence and 2."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from gradlint import __version__
from gradlint.errors import GradlintError, UsageError

COMMANDS = {
    "check": "lint files, folders and notebooks (the default)",
    "rule": "explain a rule",
    "facts": "show what the model knows about a file",
    "trace": "run one training step of a script and judge each finding by it",
    "baseline": "accept what is there now",
    "config": "list the settings of a configuration file",
    "test-rules": "run the examples of a folder of rules",
    "clean": "empty the cache",
    "lsp": "serve an editor",
    "completion": "print a script that completes commands and options in a shell",
    "version": "print the version",
}

_USAGE = "gradlint [check] [options] [paths]\n       gradlint <command> --help"


class Parser(argparse.ArgumentParser):
    """argparse whose mistakes are UsageErrors that name the nearest option."""

    def error(self, message: str) -> NoReturn:
        """One sentence instead of a page of usage."""
        from gradlint.selection import suggestion

        head, _, words = message.partition("unrecognized arguments: ")
        if words and not head:
            known = [option for action in self._actions for option in action.option_strings]
            word = words.split()[0].split("=")[0]
            message = f"unknown option `{word}`{suggestion(word, known)}"
        raise UsageError(message)


def run(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name and return its exit code: 0 clean, 1 diagnostics, 2 no result."""
    try:
        return _dispatch(list(arguments))
    except GradlintError as error:
        print(f"gradlint: {error}", file=sys.stderr)
        return error.exit_code
    except SystemExit as ending:  # how argparse ends after --help
        return int(ending.code or 0)
    except OSError as error:
        if not error.filename:  # it is about the output
            raise
        print(f"gradlint: {error.filename}: {error.strerror or error}", file=sys.stderr)
        return 2
    except Exception as error:
        if "--verbose" in arguments or "-v" in arguments:
            raise
        print(f"gradlint: internal error: {type(error).__name__}: {error} (--verbose shows where)", file=sys.stderr)
        return 2


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments and arguments[0] in ("-V", "--version"):
        print(f"gradlint {__version__}")
        return 0
    command = "check"
    if arguments and arguments[0] in COMMANDS:
        command = arguments.pop(0)
    elif arguments and _is_mistyped(arguments[0]):
        from gradlint.selection import suggestion

        raise UsageError(f"{arguments[0]}: no such file, folder or command{suggestion(arguments[0], COMMANDS)}")
    module: Any = importlib.import_module(f"gradlint.commands.{command.replace('-', '_')}")
    code: int = module.main(arguments)
    return code


def _is_mistyped(word: str) -> bool:
    import difflib

    if word.startswith("-") or os.path.exists(word) or os.sep in word or "." in word:
        return False
    return bool(difflib.get_close_matches(word, COMMANDS, 1))


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    commands = "\n".join(f"  {name:{width}}{text}" for name, text in COMMANDS.items())
    return (
        "gradlint reads PyTorch training code and names its training bugs.\n\n"
        f"usage: {_USAGE}\n\ncommands:\n{commands}\n\n"
        "exit code: 0 clean, 1 diagnostics, 2 gradlint could not do its work"
    )
