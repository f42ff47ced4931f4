"""`import` and `from … import`: local modules are run when a name of theirs is used, installed ones are qualified
names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.model import ImportedName
from gradlint.facts.torch_names import canonical
from gradlint.facts.values import External, LocalModule, Unknown, Value

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


def bring(it: Interpreter, node: code.Import) -> None:
    """`import a.b as c` binds a.b, `import a.b` binds a."""
    for dotted, alias in node.names:
        bound = dotted if alias is not None else dotted.partition(".")[0]
        _later(it, alias or bound, lambda bound=bound: _module(it, bound, it.scope.path))


def _module(it: Interpreter, dotted: str, path: str) -> Value:
    local = it.project.scope_of(it, dotted, 0, path)
    return LocalModule(local) if local is not None else External(canonical(dotted))


def _later(it: Interpreter, name: str, make: object) -> None:
    """Bind a name when it is first read."""
    scope = it.scope.outer.get(name, it.scope)

    def run() -> None:
        scope.names[name] = make()  # type: ignore[operator]

    if scope.kind == "module":
        scope.names.pop(name, None)
        scope.lazy[name] = run
    else:
        run()


def bring_from(it: Interpreter, node: code.ImportFrom) -> None:
    """`from a import b`: an attribute of a, or its submodule."""
    path = it.scope.path
    for (name, alias), at in zip(node.names, node.spans, strict=True):
        if node.level == 0 and it.once("import", path, at):
            imported = ImportedName(canonical(f"{node.module}.{name}"), alias or name, it.place(at))
            it.facts.imports.append(imported)
        if name != "*":
            _later(it, alias or name, lambda name=name: _member(it, node, path, name))
            continue
        scope = it.project.scope_of(it, node.module, node.level, path)
        if scope is not None:
            it.scope.module.star_scopes.append(scope)
        elif node.level == 0:
            it.scope.module.stars.append(node.module)


def _member(it: Interpreter, node: code.ImportFrom, path: str, name: str) -> Value:
    scope = it.project.scope_of(it, node.module, node.level, path)
    if scope is not None:
        found = scope.get(name)
        if found is not None:
            return found
    inner = it.project.scope_of(it, f"{node.module}.{name}" if node.module else name, node.level, path)
    if inner is not None:
        return LocalModule(inner)
    if scope is not None and scope.stars:
        return External(canonical(f"{scope.stars[0]}.{name}"))
    if scope is not None or node.level:
        return Unknown(name, "import")
    return External(canonical(f"{node.module}.{name}"))
