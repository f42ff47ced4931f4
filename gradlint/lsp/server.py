"""The server itself: keeps findings of open documents current and answers what an editor asks about them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from gradlint import __version__
from gradlint.diagnostics import Diagnostic
from gradlint.lsp.actions import FIX_ALL, offered, overlap
from gradlint.lsp.linting import Linted, lint, notebook
from gradlint.lsp.text import Text
from gradlint.page import page
from gradlint.suppression import comments

PAUSE = 0.2
"""Seconds without a keystroke before a document is linted."""

_WATCHED = ("**/pyproject.toml", "**/gradlint.toml", "**/.gradlint.toml")
_SYNC = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithCells(
            notebook="jupyter-notebook", cells=[types.NotebookCellLanguage(language="python")]
        )
    ],
    save=True,
)


@dataclass
class Shown:
    """What one document, or one cell, shows now."""

    text: Text
    diagnostics: list[Diagnostic]
    linted: Linted


class Server(LanguageServer):
    """Documents are known by uri: those of scripts, or those of notebooks, which stand for all their cells."""

    def __init__(self) -> None:
        super().__init__("gradlint", __version__, types.TextDocumentSyncKind.Full, notebook_document_sync=_SYNC)
        self.editor: Mapping[str, Any] = {}
        self.shown: dict[str, Shown] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._worker = ThreadPoolExecutor(1)

    def schedule(self, uri: str, pause: float = 0.0) -> None:
        """Lint a document soon; what was asked for it before is given up."""
        earlier = self._waiting.pop(uri, None)
        if earlier is not None:
            earlier.cancel()
        self._waiting[uri] = asyncio.get_running_loop().create_task(self._refresh(uri, pause))

    def schedule_all(self) -> None:
        """Lint everything that is open: what it imports, or its configuration, has changed."""
        cells = {cell.document for book in self.workspace.notebook_documents.values() for cell in book.cells}
        for uri in (*self.workspace.notebook_documents, *(self.workspace.text_documents.keys() - cells)):
            self.schedule(uri)

    def forget(self, uri: str) -> None:
        """A document, or a cell, is closed."""
        task = self._waiting.pop(uri, None)
        if task is not None:
            task.cancel()
        self.shown.pop(uri, None)
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))

    async def ask_settings(self) -> None:
        """Take the settings of the workspace from the editor, if it can be asked."""
        workspace = self.client_capabilities.workspace
        if workspace is not None and workspace.configuration:
            items = [types.ConfigurationItem(section="gradlint")]
            try:
                answer = await self.workspace_configuration_async(types.ConfigurationParams(items))
            except JsonRpcException:
                return
            self.take_settings(answer[0] if answer else None)

    def take_settings(self, value: object) -> None:
        """Keys of a configuration file and `config`; null means that nothing is set."""
        if isinstance(value, Mapping):
            self.editor = {str(key): item for key, item in value.items() if item is not None}

    async def _refresh(self, uri: str, pause: float) -> None:
        await asyncio.sleep(pause)
        texts = self._texts(uri)
        buffers = self._buffers()
        path = _path(uri, "ipynb" if uri in self.workspace.notebook_documents else "py")
        loop = asyncio.get_running_loop()
        linted = await loop.run_in_executor(self._worker, lint, path, buffers, self.editor)
        for number, text in enumerate(texts, 1):
            found = [item for item in linted.diagnostics if item.cell in (None, number)]
            self.shown[text.uri] = Shown(text, found, linted)
            items = [text.diagnostic(item) for item in found]
            if number == 1:
                items += [text.problem(f"gradlint: {sentence}") for sentence in linted.problems]
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(text.uri, items, text.version))

    def _texts(self, uri: str) -> list[Text]:
        book = self.workspace.notebook_documents.get(uri)
        uris = [uri] if book is None else [cell.document for cell in book.cells]
        units = self.workspace.position_codec.client_num_units
        documents = [self.workspace.get_text_document(each) for each in uris]
        return [Text(item.uri, item.version, item.source, units) for item in documents]

    def _buffers(self) -> dict[str, str]:
        books = self.workspace.notebook_documents
        cells = {cell.document for book in books.values() for cell in book.cells}
        buffers = {
            _path(uri, "py"): document.source
            for uri, document in self.workspace.text_documents.items()
            if uri not in cells
        }
        for uri in books:
            buffers[_path(uri, "ipynb")] = notebook([text.source for text in self._texts(uri)])
        return buffers


def _path(uri: str, suffix: str) -> str:
    """Where a document lies, or where it would be saved for all that is known."""
    return os.path.abspath(to_fs_path(uri) or f"untitled.{suffix}")


def build() -> Server:
    """A server with all its features, not yet started."""
    server = Server()

    @server.feature(types.INITIALIZE)
    def _(params: types.InitializeParams) -> None:
        server.take_settings(params.initialization_options)

    @server.feature(types.INITIALIZED)
    async def _(params: types.InitializedParams) -> None:
        await server.ask_settings()
        server.schedule_all()
        workspace = server.client_capabilities.workspace
        watched = workspace.did_change_watched_files if workspace is not None else None
        if watched is not None and watched.dynamic_registration:
            options = types.DidChangeWatchedFilesRegistrationOptions(
                [types.FileSystemWatcher(pattern) for pattern in _WATCHED]
            )
            registration = types.Registration("configuration", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
            await server.client_register_capability_async(types.RegistrationParams([registration]))

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def _(params: types.DidChangeConfigurationParams) -> None:
        if isinstance(params.settings, Mapping):
            server.take_settings(params.settings.get("gradlint"))
        await server.ask_settings()
        server.schedule_all()

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    async def _(params: types.DidChangeWatchedFilesParams) -> None:
        server.schedule_all()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    async def _(params: types.DidOpenTextDocumentParams) -> None:
        server.schedule(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def _(params: types.DidChangeTextDocumentParams) -> None:
        server.schedule(params.text_document.uri, PAUSE)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    async def _(params: types.DidSaveTextDocumentParams) -> None:
        server.schedule_all()

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    async def _(params: types.DidCloseTextDocumentParams) -> None:
        server.forget(params.text_document.uri)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    async def _(params: types.DidOpenNotebookDocumentParams) -> None:
        server.schedule(params.notebook_document.uri)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    async def _(params: types.DidChangeNotebookDocumentParams) -> None:
        cells = params.change.cells
        gone = (cells.structure.did_close or []) if cells is not None and cells.structure is not None else []
        for cell in gone:
            server.forget(cell.uri)
        server.schedule(params.notebook_document.uri, PAUSE)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_SAVE)
    async def _(params: types.DidSaveNotebookDocumentParams) -> None:
        server.schedule_all()

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    async def _(params: types.DidCloseNotebookDocumentParams) -> None:
        for cell in params.cell_text_documents:
            server.forget(cell.uri)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def _(params: types.HoverParams) -> types.Hover | None:
        return _hover(server, params)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix, FIX_ALL]),
    )
    def _(params: types.CodeActionParams) -> list[types.CodeAction]:
        shown = _current(server, params.text_document.uri)
        if shown is None:
            return []
        return list(offered(shown.text, shown.diagnostics, shown.linted.sources, params.range, params.context.only))

    return server


def _current(server: Server, uri: str) -> Shown | None:
    """What a document shows, unless it has been edited since: then its positions are those of another text."""
    shown = server.shown.get(uri)
    if shown is None or server.workspace.get_text_document(uri).source != shown.text.source:
        return None
    return shown


def _hover(server: Server, params: types.HoverParams) -> types.Hover | None:
    """The page of the rule that a suppression comment names here, or that fired here."""
    shown = _current(server, params.text_document.uri)
    if shown is None or shown.linted.catalog is None:
        return None
    catalog, text = shown.linted.catalog, shown.text
    here = types.Range(params.position, params.position)
    named = [(place, word) for comment in comments(text.source) for word, place in comment.codes]
    named += [(item.range, item.name) for item in shown.diagnostics]
    for span, word in named:
        rule = next((rule for rule in catalog.rules.values() if word.lower() in (rule.name, rule.code.lower())), None)
        if rule is not None and overlap(text.range(span), here):
            content = types.MarkupContent(types.MarkupKind.Markdown, page(rule, catalog))
            return types.Hover(content, text.range(span))
    return None
