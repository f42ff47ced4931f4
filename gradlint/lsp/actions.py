"""What an editor offers for a finding: its fix, a comment that accepts it, all safe fixes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsprotocol import types

from gradlint.diagnostics import Applicability, Diagnostic, Fix
from gradlint.fixes import applicable, without_conflicts
from gradlint.fixing import ignoring
from gradlint.lsp.text import Text
from gradlint.report import Sources

FIX_ALL = "source.fixAll.gradlint"


def offered(
    text: Text, found: Sequence[Diagnostic], sources: Sources, wanted: types.Range, only: Sequence[str] | None
) -> Iterator[types.CodeAction]:
    """Code actions for the findings of one document that touch a range; `only` names the kinds that are asked for."""
    for item in found if _asked(types.CodeActionKind.QuickFix, only) else ():
        if not overlap(text.range(item.range), wanted):
            continue
        if item.fix is not None and item.fix.applicability is not Applicability.DISPLAY:
            yield _quick(text, item, item.fix.message, item.fix, item.fix.applicability is Applicability.SAFE)
        for _, fix in ignoring([item], sources):
            yield _quick(text, item, f"Accept {item.code} ({item.name}) here", fix, False)
    if _asked(FIX_ALL, only):
        fixes = [fix for _, fix in without_conflicts(applicable(found, unsafe=False))]
        if fixes:
            yield types.CodeAction("Apply all safe fixes of gradlint", kind=FIX_ALL, edit=_edit(text, fixes))


def overlap(one: types.Range, two: types.Range) -> bool:
    """Whether two ranges share a character or touch."""
    return one.start <= two.end and two.start <= one.end


def _asked(kind: str, only: Sequence[str] | None) -> bool:
    return only is None or any(kind == word or kind.startswith(f"{word}.") for word in only)


def _quick(text: Text, item: Diagnostic, title: str, fix: Fix, preferred: bool) -> types.CodeAction:
    return types.CodeAction(
        title=title,
        kind=types.CodeActionKind.QuickFix,
        diagnostics=[text.diagnostic(item)],
        is_preferred=preferred,
        edit=_edit(text, [fix]),
    )


def _edit(text: Text, fixes: Sequence[Fix]) -> types.WorkspaceEdit:
    edits: list[types.TextEdit | types.AnnotatedTextEdit | types.SnippetTextEdit] = [
        types.TextEdit(text.range(edit.range), edit.text) for fix in fixes for edit in fix.edits
    ]
    document = types.OptionalVersionedTextDocumentIdentifier(text.uri, text.version)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(document, edits)])
