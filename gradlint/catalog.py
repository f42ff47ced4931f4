"""rules/*.yaml -> RuleSpec.

A rule file is named after its rule, so one fired rule costs one file. The keys up to `examples`, which stands last, are
its head; only documentation and tests read further. Heads of a whole folder can be kept compiled in an index file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from gradlint import shape
from gradlint.errors import CatalogError
from gradlint.options import Value


@dataclass(frozen=True)
class OptionSpec:
    """One option of a rule: its type by name (float, int, bool, str, list), default and meaning."""

    type: str
    default: Value
    description: str

    def accepts(self, value: object) -> bool:
        """Whether a configured value has this option's type; an int will do for a float, a bool never for a number."""
        if self.type == "list":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        if self.type == "float":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        if self.type == "int":
            return isinstance(value, int) and not isinstance(value, bool)
        return isinstance(value, {"bool": bool, "str": str}[self.type])


@dataclass(frozen=True)
class Reference:
    """Where the rule's claim comes from."""

    title: str
    url: str


@dataclass(frozen=True)
class RuleSpec:
    """The head of a rule file: everything but its examples."""

    code: str
    name: str
    family: str
    status: str
    severity: str
    confidence: str
    summary: str
    message: str
    why: str
    fix: str
    path: str
    default: bool = False
    trace: bool = False
    static: bool = True
    tests: bool = True
    fine: str = ""
    confirm: str = ""
    options: Mapping[str, OptionSpec] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()

    @property
    def url(self) -> str:
        """The first source of the claim; empty if the rule names none."""
        return self.references[0].url if self.references else ""

    @property
    def is_default(self) -> bool:
        """Whether the rule runs when nothing is selected."""
        return self.default and self.status == "stable"

    @property
    def is_own(self) -> bool:
        """Whether the engine itself reports it, so that no check belongs to it."""
        return self.family == "gradlint"


@dataclass(frozen=True)
class Example:
    """One example: file name -> text, the first file being the one linted. `kind` is bad or good."""

    title: str
    kind: str
    files: Mapping[str, str]
    fixed: Mapping[str, str] | None = None


class Catalog:
    """The rules of one or more folders; the built-in folder comes first, the user's after it.

    `index_file` keeps the compiled heads between runs; without one, those of the built-in folder are kept as Python
    keeps its bytecode. Raises CatalogError (file:line: key) for a wrong rule file, a code or name given twice, and a
    folder that is not there.
    """

    def __init__(self, folders: Iterable[Path] = (), index_file: Path | None = None) -> None:
        self.folders = (builtin_folder(), *folders)
        self._index_file = index_file

    @cached_property
    def files(self) -> dict[str, Path]:
        """Rule name -> its file."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            if not folder.is_dir():
                raise CatalogError(f"{folder}: no such folder of rules")
            for path in sorted(folder.glob("*.yaml")):
                if path.stem in found:
                    raise CatalogError(f"{path}:1: name: `{path.stem}` is already the name of {found[path.stem]}")
                found[path.stem] = path
        return found

    @cached_property
    def rules(self) -> dict[str, RuleSpec]:
        """Every rule by name, in the order of codes."""
        heads = self._heads()
        codes: dict[str, RuleSpec] = {}
        for spec in sorted((_spec(head) for head in heads), key=lambda spec: (len(spec.code), spec.code)):
            if spec.code in codes:
                line = shape.line_of(Path(spec.path).read_text("utf-8"), "code")
                raise CatalogError(f"{spec.path}:{line}: code: {spec.code} already belongs to {codes[spec.code].path}")
            codes[spec.code] = spec
        return {spec.name: spec for spec in codes.values()}

    def rule(self, name: str) -> RuleSpec:
        """One rule by name, reading only its own file. Raises CatalogError if there is none."""
        if "rules" in self.__dict__:
            spec = self.rules.get(name)
            if spec is not None:
                return spec
        if name not in self.files:
            raise CatalogError(f"no rule file {name}.yaml in {self.folders[0]}")
        return _spec(read_head(self.files[name]))

    def examples(self, name: str) -> tuple[Example, ...]:
        """The examples of one rule, in the order of the file."""
        return tuple(_example(item) for item in read_page(self.files[name]).get("examples") or [])

    def _heads(self) -> list[dict[str, Any]]:
        stamp = [(str(path), stat.st_mtime_ns, stat.st_size) for path in self.files.values() if (stat := path.stat())]
        index = self._index_file or (self._beside() if len(self.folders) == 1 else None)
        if index is None:
            return [_head(*of_one) for of_one in stamp]
        import marshal

        try:
            known, heads = marshal.loads(index.read_bytes())
            if known == stamp:
                return list(heads)
        except (OSError, ValueError, EOFError, TypeError):
            pass
        heads = [_head(*of_one) for of_one in stamp]
        if self._index_file is not None or not sys.dont_write_bytecode:
            _replace(index, marshal.dumps((stamp, heads)))
        return heads

    def _beside(self) -> Path:
        return self.folders[0] / "__pycache__" / f"heads.{sys.implementation.cache_tag}.bin"


def builtin_folder() -> Path:
    """The rules that ship with gradlint: beside the package in a wheel, in the checkout otherwise."""
    package = Path(__file__).parent
    shipped = package / "_rules"
    return shipped if shipped.is_dir() else package.parent / "rules"


def read_head(path: Path) -> dict[str, Any]:
    """The keys of a rule file up to its examples, checked."""
    text = _read(path)
    cut = text.find("\nexamples:")
    return _parse(path, text[: cut + 1] if cut >= 0 else text, text)


@lru_cache(maxsize=1024)
def _head(path: str, mtime_ns: int, size: int) -> dict[str, Any]:
    """`read_head`, once for each state of the file: editors and library users lint many times in one process."""
    return read_head(Path(path))


def read_page(path: Path) -> dict[str, Any]:
    """All of a rule file, checked."""
    text = _read(path)
    return _parse(path, text, text)


def _parse(path: Path, part: str, text: str) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        data = yaml.load(part, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise CatalogError(f"{path}:{line}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    try:
        shape.check(data)
    except shape.ShapeError as error:
        raise CatalogError(f"{path}:{shape.line_of(text, *error.keys)}: {error}") from None
    if data["name"] != path.stem:
        raise CatalogError(f"{path}:{shape.line_of(text, 'name')}: name: `{data['name']}` is not the name of the file")
    return {**data, "path": str(path)}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path}:1: cannot be read: {error}") from None


def _spec(head: Mapping[str, Any]) -> RuleSpec:
    values = {key: head[key] for key in head if key not in {"options", "references", "examples"}}
    options = {
        name: OptionSpec(o["type"], o["default"], o["description"]) for name, o in (head.get("options") or {}).items()
    }
    references = tuple(Reference(item["title"], item["url"]) for item in head.get("references") or [])
    return RuleSpec(**values, options=options, references=references)


def _example(item: Mapping[str, Any]) -> Example:
    kind = "bad" if "bad" in item else "good"
    fixed = item.get("fixed")
    return Example(item["title"], kind, _files(item[kind]), None if fixed is None else _files(fixed))


def _files(text: str | Mapping[str, str]) -> Mapping[str, str]:
    return {"train.py": text} if isinstance(text, str) else dict(text)


def _replace(path: Path, data: bytes) -> None:
    """Write atomically; a folder that cannot be written only costs time."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        scratch.write_bytes(data)
        os.replace(scratch, path)
    except OSError:
        pass


def plain(spec: RuleSpec) -> dict[str, Any]:
    """A rule as plain data for JSON, with codes and names first."""
    data = asdict(spec)
    del data["path"]
    return {**data, "url": spec.url}
