"""Note what the script looked for and did not find: files, folders, modules. Nothing is faked here.

`open` itself is not replaced: pandas, memmap and C readers go past it. The parent writes real files and runs again.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .patches import Patches
from .places import Places

if TYPE_CHECKING:
    from .taming import Taming

_MAX = 200
_PRIVATE = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/opt", "/bin", "/run")


class MissingPaths:
    """Paths that user code asked for and that are not there, in order: (path, "file" or "directory")."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.paths: dict[str, str] = {}
        self._busy = False

    def install(self, patches: Patches) -> None:
        sys.addaudithook(self._hear)
        for name in ("exists", "isfile", "isdir", "getsize"):
            self._wrap(patches, os.path, name, "directory" if name == "isdir" else "file")

        import pathlib

        for name in ("exists", "is_file", "is_dir"):
            self._wrap(patches, pathlib.Path, name, "directory" if name == "is_dir" else "file")

    def _wrap(self, patches: Patches, owner: Any, name: str, kind: str) -> None:
        original = getattr(owner, name)

        def ask(path: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._busy and name != "getsize":
                answer = original(path, *args, **kwargs)
                if not answer:
                    self._note(path, kind)
                return answer
            if name == "getsize":
                self._note(path, kind)
            return original(path, *args, **kwargs)

        ask.__name__ = name
        patches.set(owner, name, ask)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self._busy:
            return
        if event == "open":
            mode = args[1]
            if isinstance(mode, str) and any(letter in mode for letter in "wax"):
                return
            if mode is None and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
            self._note(args[0], "file")
        elif event in ("os.listdir", "os.scandir"):
            self._note(args[0], "directory")

    def _note(self, path: Any, kind: str) -> None:
        if isinstance(path, os.PathLike):
            path = os.fspath(path)
        if not isinstance(path, str) or not path or len(self.paths) >= _MAX or "\0" in path:
            return
        self._busy = True
        try:
            full = os.path.abspath(path)
            if full in self.paths or full.startswith(_PRIVATE) or os.path.lexists(full):
                return
            if self._by_user():
                self.paths[full] = kind
        finally:
            self._busy = False

    def _by_user(self) -> bool:
        """Asked from user code, and not while importing."""
        frame: Any = sys._getframe(2)
        user = False
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith("<frozen importlib"):
                return False
            user = user or self.places.user_file(name) is not None
            frame = frame.f_back
        return user


class Stub(types.ModuleType):
    """An inert stand-in for a package that is not installed: every attribute is a callable that does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        if name == "__version__":
            return "0.0"
        if name[:1].isupper():
            value: Any = type(name, (_Inert,), {})
        else:
            value = _Inert()
        setattr(self, name, value)
        return value


class _Inert:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and callable(args[0]):
            return args[0]
        if args and hasattr(args[0], "__iter__") and not isinstance(args[0], (str, bytes, dict)):
            return args[0]
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Inert()

    def __setattr__(self, name: str, value: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __getitem__(self, key: Any) -> Any:
        return _Inert()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc: Any) -> None: ...

    def __iter__(self) -> Any:
        return iter(())

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


def imported_by_user(problem: ModuleNotFoundError, places: Places) -> str:
    """The installed module that the user's own file imports and that cannot be had without the missing one, if any."""
    traceback, found = problem.__traceback__, ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if places.user_file(code.co_filename) is not None:
            found = ""
        elif not found and "importlib" not in code.co_filename and code.co_name == "<module>":
            found = str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    return found


def missing_name(problem: BaseException | None) -> str:
    """The package that is missing; where a script raises an error of its own about it, that of the first one."""
    while problem is not None:
        if isinstance(problem, ModuleNotFoundError) and problem.name:
            return problem.name.split(".")[0]
        problem = problem.__cause__ or problem.__context__
    return ""


def notebook_shell(taming: Taming) -> Callable[[], Any]:
    """The shell that a notebook saved as a script asks for: an inert one, for its own names and not for libraries."""

    def get_ipython() -> Any:
        taming.note("stubbed-module", "get_ipython() gave an inert stand-in for the notebook's shell", [])
        return _Inert()

    return get_ipython


class StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes stubs of the named packages, for imports written in the user's own files only."""

    def __init__(self, names: list[str], places: Places) -> None:
        self.names = set(names)
        self.places = places
        self.used: set[str] = set()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        named = next((name for name in self.names if f"{fullname}.".startswith(f"{name}.")), None)
        if named is None or not (named in self.used or self._imported_by_user()):
            return None
        self.used.add(named)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def _imported_by_user(self) -> bool:
        frame: Any = sys._getframe(2)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        return frame is not None and self.places.user_file(frame.f_code.co_filename) is not None

    def create_module(self, spec: Any) -> Any:
        return Stub(spec.name)

    def exec_module(self, module: Any) -> None: ...
