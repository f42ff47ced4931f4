"""The fast way back: if nothing a run looked at has changed, its output is printed again.

A run is named by its arguments, folder and the environment that colours its output. It remembers the state of every
path it read or probed. This module runs before everything else: it imports next to nothing and reads plain data only.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
import zlib

FOLDER = ".gradlint_cache"
"""Name of the cache folder in a project's root."""

KEPT = 64
"""How many runs are remembered; the least recently written ones go first."""

RACY_NS = 20_000_000
"""A file read sooner after its last change than file clocks can tell apart is not trusted by its times."""

_ENVIRONMENT = ("NO_COLOR", "FORCE_COLOR", "CI", "TERM", "GITHUB_ACTIONS")
_NEVER = ("--no-cache", "--fix", "--unsafe-fixes", "--diff", "--add-ignore", "--watch", "--trace", "--output-file", "-")

_stamps: dict[tuple[str, ...], int] = {}

State = tuple[int, int, int, int]
"""mtime, ctime, size and inode of a path."""


def state(path: str) -> State | None:
    """The state of a path, None if it is not there."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return None
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)


def stamp(folders: tuple[str, ...] = ()) -> int:
    """A number that changes with gradlint's own code and rules, so that an edited rule never meets an old result."""
    if folders in _stamps:
        return _stamps[folders]
    from gradlint import __version__

    seen: list[object] = [__version__, sys.version]
    package = os.path.dirname(__file__)
    shipped = os.path.join(package, "_rules")
    pending = [
        package,
        shipped if os.path.isdir(shipped) else os.path.join(os.path.dirname(package), "rules"),
        *folders,
    ]
    while pending:
        folder = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            name = entry.name
            if name.endswith((".py", ".yaml")):
                stat = entry.stat()
                seen.append((entry.path, stat.st_mtime_ns, stat.st_size))
            elif "." not in name and name not in ("__pycache__", "tracer") and folder.startswith(package):
                pending.append(entry.path)
    _stamps[folders] = zlib.crc32(repr(sorted(map(str, seen))).encode())
    return _stamps[folders]


def find(arguments: list[str]) -> tuple[str, str, int] | None:
    """What the same run printed on stdout and stderr and ended with; None if something has changed since."""
    if not may_replay(arguments):
        return None
    folder = cache_folder(arguments)
    return None if folder is None else recall(folder, key_of(arguments))


def recall(folder: str, key: str) -> tuple[str, str, int] | None:
    """What is kept under a key, if nothing it depends on has changed since."""
    try:
        with open(_file(folder, key), "rb") as stream:
            data = stream.read()
        if len(data) < 8 or zlib.crc32(data[4:]).to_bytes(4, "little") != data[:4]:
            return None
        known, states, output, notes, code = marshal.loads(data[4:])
    except (OSError, ValueError, EOFError, TypeError):
        return None
    if known != key:
        return None
    for path, then in states:
        try:
            stat = os.stat(path)
        except (OSError, ValueError):
            if then is None:
                continue
            return None
        if then != (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino):
            return None
    return output, notes, code


class Recorder:
    """Remembers what a run looks at. A path has to be noted before it is read."""

    def __init__(self, arguments: list[str]) -> None:
        self.storable = may_replay(arguments)
        self._arguments = arguments
        self._states: dict[str, State | None] = {}

    def note(self, path: str) -> None:
        """The run depends on this path: a file, a folder's list of names, or the absence of both."""
        if path in self._states:
            return
        known = self._states[path] = state(path)
        if known is not None and time.time_ns() - max(known[0], known[1]) < RACY_NS:
            self.storable = False

    def store(self, folder: str, output: str, code: int, notes: str = "") -> None:
        """Keep the run's output for `find`; a folder that cannot be written only costs time."""
        if not self.storable:
            return
        self.keep(folder, key_of(self._arguments), self._states, output, code, notes)

    def store_settings(self, folder: str, key: str, output: str) -> None:
        """Keep that a clean run prints this under settings that depend on no code."""
        states = {path: then for path, then in self._states.items() if not path.endswith((".py", ".yaml"))}
        if self.storable and not any(path.endswith(".yaml") for path in self._states):
            self.keep(folder, key, states, output, 0, "")

    @staticmethod
    def keep(folder: str, key: str, states: dict[str, State | None], output: str, code: int, notes: str) -> None:
        """Write one file of `folder`."""
        payload = marshal.dumps((key, list(states.items()), output, notes, code))
        path = _file(folder, key)
        scratch = f"{path}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(scratch, "wb") as stream:
                stream.write(zlib.crc32(payload).to_bytes(4, "little") + payload)
            os.replace(scratch, path)
            _trim(os.path.dirname(path))
        except OSError:
            pass


def cache_folder(arguments: list[str]) -> str | None:
    """The cache of an earlier run: `--cache-dir`, $GRADLINT_CACHE_DIR, or the nearest cache folder above."""
    for index, word in enumerate(arguments):
        if word == "--cache-dir":
            return arguments[index + 1] if index + 1 < len(arguments) else None
        if word.startswith("--cache-dir="):
            return word[12:]
    named = os.environ.get("GRADLINT_CACHE_DIR")
    if named:
        return named
    place = os.getcwd()
    while True:
        candidate = os.path.join(place, FOLDER)
        if os.path.isdir(candidate):
            return candidate
        parent = os.path.dirname(place)
        if parent == place:
            return None
        place = parent


def may_replay(arguments: list[str]) -> bool:
    """Whether a run with these arguments only reads files and prints."""
    command = next((word for word in arguments if not word.startswith("-")), "check")
    if command in _OTHER_COMMANDS or any(word in ("-h", "--help", "-V", "--version") for word in arguments):
        return False
    return not any(word.startswith(_NEVER[:-1]) or word == _NEVER[-1] for word in arguments)


_OTHER_COMMANDS = (
    "rule",
    "facts",
    "config",
    "clean",
    "version",
    "test-rules",
    "baseline",
    "trace",
    "lsp",
    "completion",
)


def key_of(arguments: list[str]) -> str:
    """The name of a run: all that its output depends on besides files."""
    environment = [os.environ.get(name) for name in _ENVIRONMENT]
    return repr((arguments, os.getcwd(), environment, sys.stdout.isatty(), sys.stdout.encoding, stamp()))


def _file(folder: str, key: str) -> str:
    return os.path.join(folder, "runs", f"{zlib.crc32(key.encode()):08x}.bin")


def _trim(folder: str) -> None:
    entries = sorted(os.scandir(folder), key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
    for entry in entries[KEPT:]:
        os.unlink(entry.path)
