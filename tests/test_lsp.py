"""The language server as an editor meets it: a process of its own, driven by a client over its standard streams."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from lsprotocol import types
from pygls.lsp.client import LanguageClient

FIRE = 'import torch\nx = "FIRE"\n'
CAPABILITIES = types.ClientCapabilities(
    workspace=types.WorkspaceClientCapabilities(configuration=True),
    general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf16]),
)


BUGGY = (ROOT / "examples/train.py").read_text("utf-8")


class Editor(LanguageClient):
    """An editor that remembers what it was told to show."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        super().__init__("editor", "1")
        self.settings = settings
        self.shown: dict[str, types.PublishDiagnosticsParams] = {}
        self.arrived = asyncio.Event()

        @self.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def _(params: types.PublishDiagnosticsParams) -> None:
            self.shown[params.uri] = params
            self.arrived.set()

        @self.feature(types.WORKSPACE_CONFIGURATION)
        def _(params: types.ConfigurationParams) -> list[Any]:
            return [self.settings for _ in params.items]

    async def start(self) -> types.InitializeResult:
        await self.start_io(sys.executable, "-m", "gradlint", "lsp")
        folder = Path.cwd().as_uri()
        result = await self.initialize_async(types.InitializeParams(CAPABILITIES, root_uri=folder))
        self.initialized(types.InitializedParams())
        return result

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for diagnostics that say what `done` asks for."""
        while not done():
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 60)

    async def open(self, path: Path, text: str) -> str:
        uri = path.as_uri()
        self.text_document_did_open(types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, "python", 1, text)))
        await self.until(lambda: uri in self.shown)
        return uri

    async def change(self, uri: str, version: int, text: str) -> None:
        self.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(version, uri),
                [types.TextDocumentContentChangeWholeDocument(text)],
            )
        )
        await self.until(lambda: self.shown[uri].version == version)

    def codes(self, uri: str) -> list[str | None]:
        return [item.code for item in self.shown[uri].diagnostics]  # type: ignore[misc]

    async def actions(self, uri: str, line: int, only: list[str] | None = None) -> list[types.CodeAction]:
        place = types.Range(types.Position(line, 0), types.Position(line, 1000))
        found = await self.text_document_code_action_async(
            types.CodeActionParams(types.TextDocumentIdentifier(uri), place, types.CodeActionContext([], only))
        )
        return [item for item in found or () if isinstance(item, types.CodeAction)]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))


def session(script: Callable[[Editor], Awaitable[None]], settings: dict[str, Any] | None = None) -> None:
    """Run `script` against a server that is shut down afterwards and must end well."""

    async def run() -> None:
        editor = Editor(settings)
        editor.capabilities = await editor.start()  # type: ignore[attr-defined]
        await script(editor)
        await editor.shutdown_async(None)
        editor.exit(None)
        server = editor._server
        assert server is not None
        assert await asyncio.wait_for(server.wait(), 30) == 0
        await editor.stop()

    asyncio.run(run())


def applied(text: str, edit: types.WorkspaceEdit | None) -> str:
    """What an editor makes of a text of ASCII lines."""
    assert edit is not None
    assert edit.document_changes is not None
    (change,) = edit.document_changes
    assert isinstance(change, types.TextDocumentEdit)
    lines = text.splitlines(keepends=True)
    for item in sorted(change.edits, key=lambda item: item.range.start, reverse=True):  # type: ignore[union-attr]
        assert isinstance(item, types.TextEdit)
        start, end = item.range.start, item.range.end
        assert start.line == end.line
        line = lines[start.line]
        lines[start.line] = line[: start.character] + item.new_text + line[end.character :]
    return "".join(lines)


def test_open_change_and_close(project: Path) -> None:
    async def script(editor: Editor) -> None:
        uri = await editor.open(project / "a.py", "import torch\nx = 1\n")
        assert editor.codes(uri) == []
        await editor.change(uri, 2, 'import torch\n\n\nx = "🔥🔥"  # gradlint: ignore[GL1O1]\n')
        (item,) = editor.shown[uri].diagnostics
        assert (item.code, item.source) == ("GL993", "gradlint")
        assert item.severity == types.DiagnosticSeverity.Warning
        start = len('x = "🔥🔥"  # gradlint: ignore['.encode("utf-16-le")) // 2
        assert (item.range.start, item.range.end) == (types.Position(3, start), types.Position(3, start + 5))
        await editor.change(uri, 3, "import torch\nx = (\n")
        assert editor.codes(uri) == ["GL991"]
        editor.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri)))
        await editor.until(lambda: editor.codes(uri) == [])

    session(script)


def test_real_findings_in_text_that_was_never_saved(project: Path) -> None:
    async def script(editor: Editor) -> None:
        uri = await editor.open(project / "new.py", BUGGY)
        assert editor.codes(uri) == ["GL301", "GL601", "GL701", "GL101"]
        clear = editor.shown[uri].diagnostics[3]
        assert clear.message.startswith("gradients of `optimizer` are never cleared")
        assert clear.code_description is not None
        assert clear.code_description.href.startswith("https://docs.pytorch.org/")
        await editor.change(
            uri,
            2,
            BUGGY.replace(
                "            loss.backward()\n", "            optimizer.zero_grad()\n            loss.backward()\n"
            ),
        )
        assert editor.codes(uri) == ["GL301", "GL601", "GL701"]

    session(script)


def test_an_unsaved_module_that_is_imported_counts(project: Path) -> None:
    (project / "data.py").write_text("LR = 0.001\n")
    script_text = BUGGY.replace("import torch\n", "import torch\nfrom data import LR\n", 1).replace("lr=0.1", "lr=LR")

    async def script(editor: Editor) -> None:
        uri = await editor.open(project / "train.py", script_text)
        assert "GL601" not in editor.codes(uri)
        other = await editor.open(project / "data.py", "LR = 0.001\n")
        editor.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(2, other),
                [types.TextDocumentContentChangeWholeDocument("LR = 0.5\n")],
            )
        )
        editor.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(other)))
        await editor.until(lambda: "GL601" in editor.codes(uri))

    session(script)


def test_hover_shows_the_page_of_the_rule(project: Path) -> None:
    async def script(editor: Editor) -> None:
        uri = await editor.open(project / "a.py", BUGGY + "# gradlint: ignore-file[dead-unit]  # noqa: GL602\n")

        async def hover(line: int, character: int) -> str | None:
            found = await editor.text_document_hover_async(
                types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(line, character))
            )
            assert found is None or isinstance(found.contents, types.MarkupContent)
            return found and found.contents.value  # type: ignore[union-attr,return-value]

        page = await hover(35, 15)
        assert page is not None
        assert page.startswith("# GL101 missing-zero-grad")
        for heading in ("Why it hurts", "Example", "What to write instead", "When it is fine", "References"):
            assert f"## {heading}" in page
        assert await hover(0, 0) is None
        last = BUGGY.count("\n")
        found = await hover(last, "# gradlint: ignore-file[dead-unit]  # noqa: GL602".index("GL602"))
        assert found is not None
        assert found.startswith("# GL602 ")

    session(script)


def test_code_actions(marked: Path) -> None:
    (marked / "a.py").write_text(FIRE + 'y = "FIRE"\n')
    text = (marked / "a.py").read_text()

    async def script(editor: Editor) -> None:
        uri = await editor.open(marked / "a.py", text)
        fix, accept, everything = await editor.actions(uri, 1)
        assert (fix.title, fix.kind, fix.is_preferred) == ("Whisper", types.CodeActionKind.QuickFix, True)
        assert applied(text, fix.edit) == 'import torch\nx = "fire"\ny = "FIRE"\n'
        assert applied(text, accept.edit) == 'import torch\nx = "FIRE"  # gradlint: ignore[XX001]\ny = "FIRE"\n'
        assert applied(text, everything.edit) == 'import torch\nx = "fire"\ny = "fire"\n'
        assert [item.kind for item in await editor.actions(uri, 0)] == ["source.fixAll.gradlint"]
        assert await editor.actions(uri, 1, ["source.fixAll"]) == [everything]
        assert await editor.actions(uri, 1, ["refactor"]) == []

    session(script)


def test_notebook(marked: Path) -> None:
    cells = ["import torch\n%matplotlib inline", 'x = "FIRE"', "y = ("]
    book = marked / "nb.ipynb"
    book.write_text(json.dumps({"nbformat": 4, "cells": []}))

    async def script(editor: Editor) -> None:
        uris = [f"vscode-notebook-cell://{book}#{number}" for number in range(len(cells))]
        editor.notebook_document_did_open(
            types.DidOpenNotebookDocumentParams(
                types.NotebookDocument(
                    book.as_uri(), "jupyter-notebook", 1,
                    [types.NotebookCell(types.NotebookCellKind.Code, uri) for uri in uris],
                ),
                [types.TextDocumentItem(uri, "python", 1, text) for uri, text in zip(uris, cells, strict=True)],
            )
        )  # fmt: skip
        await editor.until(lambda: set(uris) <= editor.shown.keys())
        assert [editor.codes(uri) for uri in uris] == [[], [], ["GL991"]]
        assert editor.shown[uris[2]].diagnostics[0].range.start == types.Position(0, 4)
        editor.notebook_document_did_change(
            types.DidChangeNotebookDocumentParams(
                types.VersionedNotebookDocumentIdentifier(2, book.as_uri()),
                types.NotebookDocumentChangeEvent(
                    cells=types.NotebookDocumentCellChanges(
                        text_content=[
                            types.NotebookDocumentCellContentChanges(
                                types.VersionedTextDocumentIdentifier(2, uris[2]),
                                [types.TextDocumentContentChangeWholeDocument("# gradlint: ignore-file[GL1O1]")],
                            )
                        ]
                    )
                ),
            )
        )
        await editor.until(lambda: editor.codes(uris[2]) == ["GL993"])
        (fix, *_) = await editor.actions(uris[2], 0)
        assert applied("# gradlint: ignore-file[GL1O1]", fix.edit) == ""

    session(script)


def test_settings_of_the_editor_win(marked: Path) -> None:
    (marked / "a.py").write_text(FIRE)

    async def script(editor: Editor) -> None:
        uri = await editor.open(marked / "a.py", FIRE)
        await editor.until(lambda: editor.codes(uri) == [])
        editor.settings = {"select": ["XX001"]}
        editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
        await editor.until(lambda: editor.codes(uri) == ["XX001"])
        editor.settings = {"selct": ["XX001"]}
        editor.workspace_did_change_configuration(types.DidChangeConfigurationParams(None))
        await editor.until(lambda: editor.codes(uri) == [None])
        (item,) = editor.shown[uri].diagnostics
        assert item.message == "gradlint: settings of the editor: unknown key `selct`; did you mean `select`?"

    session(script, {"select": ["GL101"]})


def test_bad_configuration_is_shown_and_ends_nothing(marked: Path) -> None:
    (marked / "a.py").write_text(FIRE)
    good = (marked / "gradlint.toml").read_text()

    async def script(editor: Editor) -> None:
        (marked / "gradlint.toml").write_text("selct = 1\n")
        uri = await editor.open(marked / "a.py", FIRE)
        (item,) = editor.shown[uri].diagnostics
        assert item.message.endswith("gradlint.toml:1: unknown key `selct`; did you mean `select`?")
        assert item.severity == types.DiagnosticSeverity.Error
        (marked / "gradlint.toml").write_text(good)
        change = types.FileEvent((marked / "gradlint.toml").as_uri(), types.FileChangeType.Changed)
        editor.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([change]))
        await editor.until(lambda: editor.codes(uri) == ["XX001"])

    session(script)


def test_excluded_files_show_nothing(marked: Path) -> None:
    (marked / "gradlint.toml").write_text((marked / "gradlint.toml").read_text() + 'extend-exclude = ["gen/"]\n')
    (marked / "gen").mkdir()
    (marked / "gen/a.py").write_text(FIRE)

    async def script(editor: Editor) -> None:
        uri = await editor.open(marked / "gen/a.py", FIRE)
        assert editor.codes(uri) == []

    session(script)
