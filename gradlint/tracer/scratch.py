"""A throw-away copy of the user's project to run in, so that nothing the script writes reaches the user's files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from gradlint.errors import TraceError
from gradlint.tracer.run import TraceOptions

_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", ".git", "requirements.txt")
_SKIPPED = {
    ".git",
    ".hg",
    ".venv",
    "venv",
    "node_modules",
    "__pycache__",
    ".tox",
    ".mypy_cache",
    ".ruff_cache",
    "wandb",
}
_LARGE = 16 << 20
_MAX_ENTRIES = 20_000


class Scratch:
    """`root` is the copy of `project`; `script` the copy of the script within it; `home` an empty home directory.

    Files above 16 MiB are linked, not copied (read-only use is what data sets are for). With `in_place` nothing is
    copied and the real folder is used.
    """

    def __init__(self, script: Path, folder: Path, options: TraceOptions) -> None:
        self.project = options.project.resolve() if options.project else _project(script)
        if not script.is_relative_to(self.project):
            self.project = script.parent
        self.assumptions: list[dict[str, Any]] = []
        self._entries = 0
        folder.mkdir(parents=True)
        self.home = folder / "home"
        self.home.mkdir()
        if options.in_place:
            self.root, self.script = self.project, script
            return
        self.root = folder / "project"
        try:
            self._copy(self.project, self.root)
        except OSError as problem:
            raise TraceError(f"{self.project} could not be copied: {problem.strerror}: {problem.filename}") from None
        self.script = self.root / script.relative_to(self.project)
        if not self.script.exists():
            self.script.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(script, self.script)
        self.assumptions.append(
            {
                "kind": "scratch-directory",
                "message": "the script ran in a throw-away copy of its folder",
                "affects": [],
            }
        )

    def holds(self, path: Path) -> bool:
        """Whether a path lies inside the copy (and may be written)."""
        return self.root != self.project and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root))

    def _copy(self, source: Path, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        with os.scandir(source) as entries:
            for entry in entries:
                if entry.name in _SKIPPED:
                    continue
                self._entries += 1
                there = target / entry.name
                if self._entries > _MAX_ENTRIES:
                    there.symlink_to(os.path.abspath(entry.path))
                elif entry.is_symlink():
                    there.symlink_to(os.path.realpath(entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    if _is_environment(entry.path):
                        continue
                    self._copy(Path(entry.path), there)
                elif not entry.is_file(follow_symlinks=False):
                    continue
                elif entry.stat(follow_symlinks=False).st_size > _LARGE:
                    there.symlink_to(os.path.abspath(entry.path))
                else:
                    shutil.copy2(entry.path, there)


def _is_environment(path: str) -> bool:
    return os.path.exists(os.path.join(path, "pyvenv.cfg"))


def _project(script: Path) -> Path:
    """The nearest folder above with a project's marks, but never the home directory, the root or a huge tree."""
    home = Path.home()
    for folder in list(script.parents)[:5]:
        if folder == home or folder == folder.parent or folder in (Path("/tmp"), Path("/var/tmp")):
            break
        if any((folder / name).exists() for name in _MARKERS):
            return folder if _small(folder) else script.parent
    return script.parent


def _small(folder: Path) -> bool:
    count = 0
    for _, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED]
        count += len(files)
        if count > _MAX_ENTRIES:
            return False
    return True
