"""Comments that accept a finding where it stands.

`# gradlint: ignore[GL101, high-learning-rate] reason` covers the statement it stands in, `ignore-next-line[...]` the
next one, `ignore-file[...]` the file; without brackets they cover every rule. `# noqa: GL101` works as elsewhere.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace

from gradlint.diagnostics import Range

_DIRECTIVE = re.compile(r"#\s*gradlint\s*:\s*(?P<verb>[\w-]*)(?P<list>\s*\[(?P<codes>[^\]#]*)\]?)?", re.IGNORECASE)
_NOQA = re.compile(r"#\s*noqa\b(?P<list>\s*:\s*(?P<codes>[A-Z][A-Z0-9]*(?:[\s,]+[A-Z]+[0-9]+)*))?", re.IGNORECASE)
_CODE = re.compile(r"[^\s,]+")
_BLANK = frozenset({tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING})

VERBS = ("ignore", "ignore-next-line", "ignore-file")


@dataclass(frozen=True)
class Comment:
    """One directive: what it names, where it stands, which lines it covers (0, 0 means the whole file)."""

    verb: str
    codes: tuple[tuple[str, Range], ...]
    range: Range
    first: int
    last: int
    blanket: bool = False
    reason: str = ""

    def covers(self, line: int) -> bool:
        """Whether a finding that starts on `line` falls under it."""
        return self.first <= line <= self.last or self.last == 0

    @property
    def is_known(self) -> bool:
        """False for `# gradlint: something-else`."""
        return self.verb in VERBS or self.verb == "noqa"


def mentioned(data: bytes) -> bool:
    """Whether the file may hold a directive at all; only then is it worth its tokens."""
    return b"gradlint" in data or b"noqa" in data.lower()


def comments(text: str) -> tuple[Comment, ...]:
    """Every directive in the comments of `text`, in order; strings that look like comments do not count."""
    found, statements = _scan(text)
    return tuple(_placed(comment, statements) for comment in found)


def statement_end(text: str, line: int) -> int:
    """The last line of the statement that `line` belongs to: a comment at its end covers the statement."""
    return next((last for first, last in _scan(text)[1] if first <= line <= last), line)


def _scan(text: str) -> tuple[list[Comment], list[tuple[int, int]]]:
    """Directives, and first and last line of each logical line, up to where the text stops being Python."""
    found: list[Comment] = []
    statements: list[tuple[int, int]] = []
    start = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
            if token.type == tokenize.COMMENT:
                found.extend(_read(token.string, *token.start))
            elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                if start:
                    statements.append((start, token.start[0]))
                start = 0
            elif not start and token.type not in _BLANK:
                start = token.start[0]
    except (tokenize.TokenError, SyntaxError):
        pass
    return found, statements


def _read(text: str, line: int, column: int) -> Iterable[Comment]:
    for match in _DIRECTIVE.finditer(text):
        verb = match["verb"].lower()
        yield _comment(verb, match, line, column, blanket=match["list"] is None)
    for match in _NOQA.finditer(text):
        yield _comment("noqa", match, line, column, blanket=match["codes"] is None)


def _comment(verb: str, match: re.Match[str], line: int, column: int, *, blanket: bool) -> Comment:
    def span(start: int, end: int) -> Range:
        return Range(line, column + 1 + start, line, column + 1 + end)

    offset = match.start("codes") if match["codes"] else 0
    codes = tuple(
        (code[0], span(offset + code.start(), offset + code.end())) for code in _CODE.finditer(match["codes"] or "")
    )
    reason = match.string[match.end() :].partition("#")[0].strip()
    return Comment(verb, codes, span(match.start(), match.end()), line, line, blanket, reason)


def _placed(comment: Comment, statements: list[tuple[int, int]]) -> Comment:
    """The comment with the lines it covers."""
    first = last = comment.range.line
    if comment.verb == "ignore-file":
        first = last = 0
    elif comment.verb == "ignore-next-line":
        first, last = next((span for span in statements if span[0] > comment.range.line), (first, last))
    else:
        first, last = next((span for span in statements if span[0] <= first <= span[1]), (first, last))
    return replace(comment, first=first, last=last)


class Suppressions:
    """The directives of one file, and which of them have been of use."""

    def __init__(self, comments: Iterable[Comment]) -> None:
        self._comments = tuple(comments)
        self._used: set[tuple[int, str]] = set()

    def match(self, code: str, name: str, line: int) -> Comment | None:
        """The first directive that accepts a finding of this rule on `line`; every one that does counts as used."""
        first: Comment | None = None
        for index, comment in enumerate(self._comments):
            if not comment.is_known or not comment.covers(line):
                continue
            words = [text for text, _ in comment.codes if text.upper() == code or text.lower() == name]
            if comment.blanket:
                words = [""]
            self._used.update((index, word) for word in words)
            if words and first is None:
                first = comment
        return first

    def unused(self, judged: Container[str], names: dict[str, str]) -> Iterable[tuple[Comment, list[str]]]:
        """Directives (with the codes in them) that accepted nothing.

        Only codes in `judged` are reported, so that a run of few rules does not condemn the others; `names` maps codes
        and names in lower case to the rule's name. A bare `noqa` belongs to other tools too and is never reported.
        """
        for index, comment in enumerate(self._comments):
            if not comment.is_known:
                continue
            if comment.blanket:
                if comment.verb != "noqa" and (index, "") not in self._used:
                    yield comment, []
                continue
            idle = [text for text, _ in comment.codes if (index, text) not in self._used]
            idle = [text for text in idle if names.get(text.lower()) in judged and text.lower() in names]
            if idle:
                yield comment, idle

    def unknown(self, names: dict[str, str]) -> Iterable[tuple[Comment, str, Range]]:
        """Codes that no rule has, and directives that gradlint does not know.

        In a `noqa` only codes of gradlint's own form are looked at, the others belong to other tools.
        """
        for comment in self._comments:
            if not comment.is_known:
                yield comment, comment.verb, comment.range
                continue
            for text, range in comment.codes:
                if text.lower() not in names and (
                    comment.verb != "noqa" or re.fullmatch(r"GL\d+", text, re.IGNORECASE)
                ):
                    yield comment, text, range
