"""Modules as trees: their children, what a container holds, what a class turns out to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gradlint.facts import code
from gradlint.facts.code import Span
from gradlint.facts.record import replace
from gradlint.facts.torch_names import (
    BATCH_NORMED,
    CONVOLUTIONS,
    EMBEDDINGS,
    LIGHTNING_BASES,
    MODE_DEPENDENT,
    MODULE_BASES,
    NORMS,
    RECURRENT,
)  # fmt: skip
from gradlint.facts.values import (
    UNKNOWN_START,
    Choice,
    ClassValue,
    Collection,
    Constant,
    FunctionValue,
    Instance,
    Layer,
    Mapping,
    Tensor,
    Unknown,
    Value,
    constant,
    is_module,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter

MODULE_METHODS = frozenset({
    "parameters", "named_parameters", "train", "eval", "zero_grad", "state_dict", "load_state_dict", "modules",
    "named_modules", "children", "named_children", "apply", "to", "cuda", "cpu", "half", "float", "double", "bfloat16",
    "requires_grad_", "register_buffer", "register_parameter", "add_module", "register_module", "register_forward_hook",
    "register_full_backward_hook", "register_backward_hook", "register_forward_pre_hook", "buffers", "named_buffers",
    "get_submodule", "forward", "type", "share_memory", "compile", "no_sync", "append", "extend", "insert", "items",
    "values", "keys", "__call__",
})  # fmt: skip

LIGHTNING_METHODS = frozenset({
    "log", "log_dict", "manual_backward", "optimizers", "lr_schedulers", "clip_gradients", "save_hyperparameters",
    "toggle_optimizer", "untoggle_optimizer", "all_gather", "freeze", "unfreeze", "print",
})  # fmt: skip


def kind_of(cls: ClassValue) -> str:
    """module, lightning, optimizer, function, dataset or object, by the installed classes that a class derives from."""
    names = cls.externals()
    if any(name in LIGHTNING_BASES or name.endswith(".LightningModule") for name in names):
        return "lightning"
    if any(name in MODULE_BASES or _library_module(name) for name in names):
        return "module"
    if any(
        name in ("torch.optim.Optimizer", "torch.optim.optimizer.Optimizer") or name.startswith("torch.optim.")
        for name in names
    ):
        return "scheduler" if any("lr_scheduler" in name for name in names) else "optimizer"
    if any(name in ("torch.autograd.Function", "torch.autograd.function.Function") for name in names):
        return "function"
    if any(name.endswith("Dataset") for name in names):
        return "dataset"
    if any(name.endswith("Trainer") for name in names):
        return "trainer"
    return "object"


def _library_module(name: str) -> bool:
    """Model classes of well-known libraries that derive from nn.Module."""
    last = name.rpartition(".")[2]
    if name.startswith("transformers."):
        return last.endswith(("Model", "PreTrainedModel")) or "For" in last
    if name.startswith("torchvision.models."):
        return last[:1].isupper()
    if name.startswith("torch_geometric.nn."):
        return last in ("MessagePassing", "GCNConv", "GATConv", "SAGEConv") or last.endswith("Conv")
    return name.startswith("torch.nn.") and last[:1].isupper() and "." not in name[len("torch.nn.") :]


def children(module: Value) -> list[tuple[str, Value]]:
    """Direct sub-modules with their names, in order of registration."""
    if isinstance(module, Layer):
        return list(zip(module.names, module.children, strict=True))
    if isinstance(module, Instance):
        return [(name, value) for name, value in module.attributes.items() if is_module(value) and value is not module]
    return []


def walk(module: Value, seen: set[int] | None = None) -> Iterator[Value]:
    """A module and all modules below it, each once."""
    seen = set() if seen is None else seen
    stack = [module]
    while stack:
        part = stack.pop()
        if id(part) not in seen:
            seen.add(id(part))
            yield part
            stack.extend([child for _, child in reversed(children(part))])


def paths(module: Value, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Value]]:
    """A module and all below it with the names torch gives them: `("net.0", layer)`."""
    seen = set() if seen is None else seen
    if id(module) in seen:
        return
    seen.add(id(module))
    yield prefix, module
    for name, child in children(module):
        yield from paths(child, f"{prefix}.{name}" if prefix else name, seen)


def complete(module: Value) -> bool:
    """Whether everything below a module can be seen."""
    for part in walk(module):
        if isinstance(part, Layer) and (not part.complete or (not part.kind.startswith("torch.nn."))):
            return False
        if isinstance(part, Instance):
            if part.cls.opaque or any(
                not name.startswith("torch.") and not name.startswith("lightning.") for name in part.cls.externals()
            ):
                return False
            if any(isinstance(value, Unknown) and value.origin != "attribute" for value in part.attributes.values()):
                return False
    return True


def holds(module: Value, part: Value) -> bool:
    """Whether `part` is `module` or lies below it, or may: a branch chose between it and another module."""
    for found in walk(module):
        if found is part:
            return True
        chosen = [value for value in _kept(found) if isinstance(value, Choice)]
        if any(is_module(option) and holds(option, part) for value in chosen for option in value.options):
            return True
    return False


def _kept(module: Value) -> Iterable[Value]:
    if isinstance(module, Instance):
        return module.attributes.values()
    return module.children if isinstance(module, Layer) else ()


_BIAS_AT = {"Linear": 2, "LazyLinear": 1, "Bilinear": 3}


def biasless(layer: Layer) -> bool:
    """Whether a layer was surely built without a bias."""
    given = layer.argument(_BIAS_AT.get(layer.name, 99), "bias")
    return isinstance(given, Constant) and given.value is False and not given.default


def parameters(layer: Layer) -> list[tuple[str, int]]:
    """Names and dimensions of the parameters that a layer of torch.nn holds itself; empty where they are not known."""
    own = [("bias", 1)] if not biasless(layer) else []
    if layer.name in ("Linear", "LazyLinear"):
        return [("weight", 2), *own]
    if layer.name in CONVOLUTIONS:
        return [("weight", 2 + int(layer.name[-2])), *own]
    if layer.name in NORMS:
        affine = layer.argument(
            2 if layer.name == "LayerNorm" else 3, "elementwise_affine" if layer.name == "LayerNorm" else "affine"
        )
        return [] if isinstance(affine, Constant) and affine.value is False else [("weight", 1), ("bias", 1)]
    if layer.name in EMBEDDINGS:
        return [("weight", 2)]
    if layer.name in RECURRENT:
        suffix = "" if layer.name.endswith("Cell") else "_l0"
        return [(f"weight_ih{suffix}", 2), (f"weight_hh{suffix}", 2), (f"bias_ih{suffix}", 1), (f"bias_hh{suffix}", 1)]
    return []


def duplicate(value: Value, made: dict[int, Value]) -> Value:
    """A deep copy of a module: modules and own parameters are new, whatever they share stays shared."""
    if id(value) in made:
        return made[id(value)]
    if isinstance(value, Layer):
        layer = Layer(
            value.kind, value.arguments, value.keywords, value.place, names=list(value.names), complete=value.complete
        )
        layer.started = dict(value.started)
        made[id(value)] = layer
        layer.children = [duplicate(child, made) for child in value.children]
        return layer
    if isinstance(value, Instance):
        instance = Instance(
            value.cls, value.kind, place=value.place, assumed=value.assumed, assigned=dict(value.assigned)
        )
        made[id(value)] = instance
        instance.attributes = {name: duplicate(part, made) for name, part in value.attributes.items()}
        return instance
    if isinstance(value, Tensor) and value.parameter:
        tensor = replace(value, owner=made.get(id(value.owner), value.owner))
        made[id(value)] = tensor
        tensor.roots = frozenset(tensor if root is value else root for root in value.roots)
        return tensor
    if isinstance(value, Collection):
        return replace(value, items=[duplicate(item, made) for item in value.items])
    if isinstance(value, Unknown) and value.origin != "import":
        made[id(value)] = Unknown(value.hint, value.origin, value.uses)
        return made[id(value)]
    return value


def mode_dependent(module: Value) -> bool | None:
    """Whether train and eval mode differ for a module; None if not all of it can be seen."""
    if mode_parts(module) or any(isinstance(part, Layer) and _published(part) for part in walk(module)):
        return True
    return False if complete(module) else None


def mode_parts(module: Value) -> list[str]:
    """What surely differs between train and eval mode in a module: layers, calls like `F.dropout(x, training=…)`."""
    found: dict[str, None] = {}
    for part in walk(module):
        if isinstance(part, Layer) and switches(part):
            found[part.name] = None
        elif isinstance(part, Instance):
            found.update(dict.fromkeys(_told_the_mode(part.cls)))
            if _asks_the_mode(part.cls):
                found[part.cls.name] = None
    return list(found)


def _told_the_mode(cls: ClassValue) -> Iterator[str]:
    """The functions that a module's forward hands `self.training`."""
    hit = cls.find("forward")
    method = hit[0].node if hit is not None and isinstance(hit[0], FunctionValue) else None
    for node in code.walk(method.body) if isinstance(method, code.Function) else ():
        if not isinstance(node, code.Call) or not isinstance(node.func, (code.Name, code.Attribute)):
            continue
        if any(isinstance(a.value, code.Attribute) and a.value.name == "training" for a in node.arguments):
            yield node.func.name


def _asks_the_mode(cls: ClassValue) -> bool:
    """Whether what a module's forward returns hangs on `self.training`."""
    hit = cls.find("forward")
    method = hit[0].node if hit is not None and isinstance(hit[0], FunctionValue) else None
    tests = [n.test for n in code.walk(method.body) if isinstance(n, (code.If, code.Conditional))] if method else []
    return any(isinstance(n, code.Attribute) and n.name == "training" for test in tests for n in code.walk(test))


def switches(layer: Layer) -> bool:
    """Whether a layer itself, not one below it, computes something else in eval mode."""
    return (layer.name in MODE_DEPENDENT and not _never_drops(layer)) or _dropout_argument(layer)


def _never_drops(layer: Layer) -> bool:
    """`nn.Dropout(0.0)`, also where 0 is only the default of a setting."""
    given = layer.arguments[0] if layer.arguments else layer.keywords.get("p")
    return "Dropout" in layer.name and isinstance(given, Constant) and given.value == 0


def _published(layer: Layer) -> bool:
    """A vision model from a library: all of torchvision's have batch norm or dropout, except its `vit_…`."""
    if layer.kind.startswith("torchvision.models."):
        return not layer.name.startswith("vit_")
    given = layer.arguments[0] if layer.arguments else layer.keywords.get("model_name")
    name = constant(given) if isinstance(given, Constant) else None
    named = layer.kind == "timm.create_model" and isinstance(name, str)
    return named and any(family in str(name) for family in BATCH_NORMED)


def _dropout_argument(layer: Layer) -> bool:
    found = layer.keywords.get("dropout")
    if found is not None:
        return getattr(found, "value", 1) != 0
    return layer.name.startswith("Transformer")


def set_child(it: Interpreter, layer: Layer, name: str, value: Value, at: Span) -> None:
    """`model.fc = …` on an installed module."""
    if name in layer.started:
        it.journal.write(layer.started, name, UNKNOWN_START)
    if isinstance(value, Tensor) and value.parameter:
        it.replaced(layer, name, Unknown(name, "attribute"), value, at)
    if not is_module(value):
        return
    if name in layer.names:
        index = layer.names.index(name)
        old = layer.children[index]
        if old is not value:
            it.replaced(layer, name, old, value, at)
        layer.children[index] = value
        return
    if name.isdigit() and not layer.names:
        layer.complete = False
    it.replaced(layer, name, Unknown(name, "attribute"), value, at)
    layer.children.append(value)
    layer.names.append(name)


_HEADS = frozenset({"fc", "classifier", "head", "heads"})
_VISION_PARTS = _HEADS | {
    "features", "layer1", "layer2", "layer3", "layer4", "conv1", "bn1", "conv_proj", "encoder", "stem", "trunk_output",
    "backbone", "AuxLogits",
}  # fmt: skip
"""Names of what torchvision's classifiers are made of."""


def vision_part(layer: Layer, name: str) -> bool:
    """Whether `name` is a part of a classifier from torchvision."""
    return layer.kind == f"torchvision.models.{layer.name}" and name in _VISION_PARTS


def vision_head(layer: Layer) -> Value | None:
    """The module that the script put in as the last one of a classifier from torchvision."""
    if layer.kind != f"torchvision.models.{layer.name}" or layer.name.startswith(("inception", "googlenet")):
        return None
    heads = [child for name, child in children(layer) if name in _HEADS and is_module(child)]
    return heads[0] if len(heads) == 1 else None


def container(layer: Layer) -> None:
    """Fill Sequential, ModuleList and ModuleDict from their arguments."""
    if layer.name == "Sequential" and len(layer.arguments) == 1 and isinstance(layer.arguments[0], Mapping):
        _from_mapping(layer, layer.arguments[0])
        return
    if layer.name == "Sequential":
        _extend(layer, layer.arguments, False)
        return
    if not layer.arguments:
        return
    given = layer.arguments[0]
    if isinstance(given, Collection):
        _extend(layer, given.items, given.open)
    elif isinstance(given, Mapping):
        _from_mapping(layer, given)
    elif isinstance(given, Layer):
        _extend(layer, given.children, not given.complete)
    else:
        layer.complete = False


def _extend(layer: Layer, items: list[Value], is_open: bool) -> None:
    for item in items:
        if isinstance(item, Collection) and len(item.items) == 2 and is_module(item.items[1]):
            item = item.items[1]
        layer.names.append(str(len(layer.names)))
        layer.children.append(item)
    layer.complete = layer.complete and not is_open and all(is_module(item) for item in layer.children)


def _from_mapping(layer: Layer, given: Mapping) -> None:
    for key, value in given.items.items():
        layer.names.append(str(key))
        layer.children.append(value)
    layer.complete = not given.open and all(is_module(child) for child in layer.children)
