"""Findings of unchanged files, in one SQLite file a project.

A row belongs to one file under one set of options and holds plain data (marshal, never pickle): the findings of every
check, selected or not, so that another selection of rules needs no parse. It is valid while the content of the file and
of everything its facts depended on is the same. Facts themselves are not kept: they are a web of objects that reaches
into the files they were linked with, while findings are a few tuples. Any number of runs may share the database; a run
that finds it locked, damaged or read-only works without it.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

from gradlint.replay import FOLDER

MAX_ROWS = 20_000
MAX_BYTES = 64 * 1024 * 1024


class Cache:
    """Rows by key. Closing it writes what was stored and drops the rows longest unused beyond the bounds."""

    def __init__(self, folder: Path, stamp: int) -> None:
        self.folder = folder
        self._prefix = str(stamp)
        self._today = int(time.time() // 86_400)
        self._pending: dict[bytes, bytes] = {}
        self._touched: list[bytes] = []
        self._connection: sqlite3.Connection | None = None
        try:
            prepare(folder)
            self._connection = self._open(folder / "findings.db")
        except (OSError, sqlite3.Error):
            self._connection = None

    def get(self, path: str, plan: str) -> tuple[dict[str, str | None], Any] | None:
        """Digests of what the result depended on, and the result; None if the file has no row."""
        if self._connection is None:
            return None
        key = self._key(path, plan)
        if key in self._pending:
            digests, result = marshal.loads(self._pending[key])
            return digests, result
        try:
            row = self._connection.execute("SELECT used, data FROM results WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            digests, result = marshal.loads(row[1])
        except (sqlite3.Error, ValueError, EOFError, TypeError):
            return None
        if row[0] != self._today:
            self._touched.append(key)
        return digests, result

    def put(self, path: str, plan: str, digests: dict[str, str | None], result: Any) -> None:
        """Keep the result of a file. `result` is made of tuples, lists, dicts, strings and numbers."""
        self._pending[self._key(path, plan)] = marshal.dumps((digests, result))

    def close(self) -> None:
        """Write everything in one transaction."""
        if self._connection is None:
            return
        try:
            if self._pending or self._touched:
                with self._connection as connection:
                    rows = [(key, self._today, data) for key, data in self._pending.items()]
                    connection.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
                    touched = [(self._today, key) for key in self._touched]
                    connection.executemany("UPDATE results SET used = ? WHERE key = ?", touched)
                    self._trim(connection)
        except sqlite3.Error:
            pass
        finally:
            self._connection.close()
            self._connection = None

    def _open(self, path: Path) -> sqlite3.Connection:
        try:
            return self._connect(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            path.unlink(missing_ok=True)
            return self._connect(path)

    def _connect(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=2.0)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS results (key BLOB PRIMARY KEY, used INTEGER, data BLOB) WITHOUT ROWID"
            )
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _trim(self, connection: sqlite3.Connection) -> None:
        rows, size = connection.execute("SELECT count(*), coalesce(sum(length(data)), 0) FROM results").fetchone()
        if rows > MAX_ROWS or size > MAX_BYTES:
            connection.execute(
                "DELETE FROM results WHERE key IN (SELECT key FROM results ORDER BY used LIMIT ?)", (max(rows // 2, 1),)
            )

    def _key(self, path: str, plan: str) -> bytes:
        name = "\0".join((self._prefix, os.path.abspath(path), path, plan))
        return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def digest(data: bytes) -> str:
    """Content hash of a file."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def digest_of(path: str) -> str | None:
    """Content hash of the file at `path`, of a folder that of its names; None if there is none that can be read."""
    try:
        return digest(Path(path).read_bytes())
    except IsADirectoryError:
        names = sorted(name for name in os.listdir(path) if name[0] not in "._" or name.endswith(".py"))
        return digest("\n".join(names).encode("utf-8", "replace"))
    except OSError:
        return None


def default_folder() -> Path:
    """Where a project's cache lies: $GRADLINT_CACHE_DIR, or beside the nearest configuration or repository root."""
    named = os.environ.get("GRADLINT_CACHE_DIR")
    if named:
        return Path(named)
    here = Path.cwd()
    for place in (here, *here.parents):
        if (place / FOLDER).is_dir():
            return place / FOLDER
    for place in (here, *here.parents):
        if any((place / name).exists() for name in (".git", "gradlint.toml", ".gradlint.toml", "pyproject.toml")):
            return place / FOLDER
    return here / FOLDER


def prepare(folder: Path) -> None:
    """Make the cache folder, hidden from git and from backups. Raises OSError if it cannot be made."""
    if (folder / ".gitignore").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n", "utf-8")
    (folder / ".gitignore").write_text("*\n", "utf-8")


def clean(folder: Path) -> bool:
    """Delete a cache folder; False if there was none. A folder that gradlint did not make is left alone (OSError)."""
    if not folder.is_dir():
        return False
    if not (folder / "CACHEDIR.TAG").is_file():
        raise OSError(f"{folder} is not a cache of gradlint")
    shutil.rmtree(folder)
    return True
