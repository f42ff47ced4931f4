"""`gradlint completion`: a script for a shell, made from the parsers of all commands."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Mapping
from shlex import quote

from gradlint.catalog import Catalog
from gradlint.cli import COMMANDS, Parser
from gradlint.config import KEYS
from gradlint.reporters import formats

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
_gradlint() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command=check words=
    case ${{COMP_WORDS[1]}} in
        {commands}) [ "$COMP_CWORD" -gt 1 ] && command=${{COMP_WORDS[1]}} ;;
    esac
    case "$command $previous" in
{values}
    esac
    if [ -z "$words" ]; then
        case "$command" in
{options}
        esac
        if [ "${{current#-}}" = "$current" ]; then
            words=
            case "$command" in
{positionals}
            esac
            [ "$COMP_CWORD" = 1 ] && words={all_commands}
            COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))
            return
        fi
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o filenames -F _gradlint gradlint
"""


def build() -> Parser:
    """The options of `gradlint completion`."""
    parser = Parser(
        prog="gradlint completion",
        description='Print a completion script: `eval "$(gradlint completion bash)"`, zsh alike, `... fish | source`.',
        allow_abbrev=False,
    )
    parser.add_argument("shell", choices=SHELLS)
    return parser


def main(arguments: list[str]) -> int:
    """Print the script."""
    shell = build().parse_args(arguments).shell
    parsers = {name: _module_parser(name) for name in COMMANDS}
    if shell == "fish":
        print("\n".join(_fish(parsers)))
    else:
        head = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
        print((head if shell == "zsh" else "") + _bash(parsers), end="")
    return 0


def _module_parser(name: str) -> argparse.ArgumentParser:
    module = importlib.import_module(f"gradlint.commands.{name.replace('-', '_')}")
    parser: argparse.ArgumentParser = module.build()
    return parser


def _words() -> Mapping[str, list[str]]:
    """What may stand where the help says METAVAR."""
    rules = Catalog().rules.values()
    selectors = [word for rule in rules for word in (rule.code, rule.name)]
    selectors += dict.fromkeys(rule.family for rule in rules)
    return {"RULES": selectors, "RULE": selectors, "FORMAT": formats(), "KEY": list(KEYS)}


def _values(action: argparse.Action, words: Mapping[str, list[str]]) -> list[str]:
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    return words.get(str(action.metavar), [])


def _bash(parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    words = _words()
    values, options, positionals = [], [], []
    for command, parser in parsers.items():
        flags = [option for action in parser._actions for option in action.option_strings]
        options.append(f"            {quote(command)}) words={quote(' '.join(flags))} ;;")
        for action in parser._actions:
            known = _values(action, words)
            if not known:
                continue
            if action.option_strings:
                pattern = "|".join(quote(f"{command} {option}") for option in action.option_strings)
                values.append(f"        {pattern}) words={quote(' '.join(known))} ;;")
            else:
                positionals.append(f"                {quote(command)}) words={quote(' '.join(known))} ;;")
    return _BASH.format(
        commands="|".join(COMMANDS),
        all_commands=quote(" ".join(COMMANDS)),
        values="\n".join(values),
        options="\n".join(options),
        positionals="\n".join(positionals),
    )


def _fish(parsers: Mapping[str, argparse.ArgumentParser]) -> Iterator[str]:
    words = _words()
    others = " ".join(name for name in COMMANDS if name != "check")
    for name, text in COMMANDS.items():
        yield f"complete -c gradlint -n __fish_use_subcommand -a {name} -d {quote(text)}"
    for command, parser in parsers.items():
        where = f"__fish_seen_subcommand_from {command}"
        if command == "check":
            where = f"not __fish_seen_subcommand_from {others}"
        for action in parser._actions:
            known = _values(action, words)
            parts = [f"complete -c gradlint -n {quote(where)}"]
            for option in action.option_strings:
                parts.append(f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}")
            if known:
                parts.append(
                    f"-x -a {quote(' '.join(known))}" if action.option_strings else f"-a {quote(' '.join(known))}"
                )
            elif action.option_strings and action.nargs != 0:
                parts.append("-r")
            if action.help and action.help is not argparse.SUPPRESS:
                parts.append(f"-d {quote(action.help)}")
            if action.option_strings or known:
                yield " ".join(parts)
