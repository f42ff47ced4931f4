"""Image bytes that are cast to floats: where that is written, whether anything scales them after, where they go.

Read from the code of each function, statement by statement. Whatever is not known to leave values as they are counts as
scaling, and so does any mention of a scale or a normalisation in the file: somebody unseen in it may do the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from typing import Any

from gradlint.facts import code
from gradlint.facts.events import Forward
from gradlint.facts.interpret import modules
from gradlint.facts.interpret.writing import text_of
from gradlint.facts.model import TrainingFacts
from gradlint.facts.record import record
from gradlint.facts.torch_names import CONVOLUTIONS, LINEAR, canonical
from gradlint.facts.values import FunctionValue, Instance, Layer, Place, Value

_READERS = frozenset({
    "torchvision.io.read_image", "torchvision.io.decode_image", "torchvision.io.decode_jpeg", "cv2.imread",
    "torchvision.io.decode_png", "imageio.imread", "imageio.v2.imread", "imageio.v3.imread", "skimage.io.imread",
})  # fmt: skip
"""Functions that give the bytes of an image."""
_SETS = frozenset({"MNIST", "FashionMNIST", "KMNIST", "QMNIST", "EMNIST", "CIFAR10", "CIFAR100", "SVHN"})
_ARRAYS = frozenset({"numpy.array", "numpy.asarray", "torch.from_numpy", "torch.as_tensor", "torch.tensor"})
_FLOATS = frozenset({
    "float", "torch.float", "torch.float32", "torch.float16", "torch.bfloat16", "torch.float64", "torch.half",
    "torch.double", "numpy.float32", "numpy.float64", "numpy.float16", "float32",
})  # fmt: skip
_BYTES = frozenset({"torch.uint8", "numpy.uint8", "uint8"})
_SHAPES = frozenset({
    "view", "reshape", "permute", "transpose", "unsqueeze", "squeeze", "flatten", "contiguous", "to", "cuda", "cpu",
    "clone", "copy", "numpy", "detach", "type", "astype", "expand", "repeat",
})  # fmt: skip
_LOOKS = frozenset({"len", "print", "range", "type", "isinstance"})
_PICTURE = frozenset({"convert", "resize", "crop", "rotate", "transpose"})
_SCALES = frozenset({255, 256, 127.5, 128})
_NORMALISES = re.compile(
    r"normali[sz]e|standardi[sz]e|scaler$|(?<!PIL)ToTensor|ToDtype|to_tensor|Convert\w*Dtype", re.IGNORECASE
)


@record
class Cast:
    """Bytes made floats: as the code writes it, whether something may scale them, what they reach."""

    text: str
    place: Place
    scaled: bool = False
    reaches: str = ""


@record
class _Reader:
    """What the names of one function hold: `bytes`, `picture`, `set`, `loader`, or a Cast."""

    facts: TrainingFacts
    imports: dict[str, str]
    networks: dict[Any, Value]
    casts: list[Cast]
    names: dict[str, Any] = field(default_factory=dict)
    gives: str = ""

    # Statements

    def block(self, statements: list[Any]) -> None:
        for statement in statements:
            if isinstance(statement, (code.Assign, code.Annotated)):
                value = self.read(statement.value)
                for target in statement.targets if isinstance(statement, code.Assign) else [statement.target]:
                    self.bind(target, value)
            elif isinstance(statement, code.Return):
                self.returned(self.read(statement.value))
            elif isinstance(statement, code.Augmented):
                self.used(statement.target)
                self.used(statement.value)
            elif isinstance(statement, code.Evaluate):
                self.read(statement.value)
            elif isinstance(statement, code.For):
                self.loop(statement)
            elif isinstance(statement, (code.If, code.While, code.With, code.Try)):
                self.block(statement.body)
                self.block(getattr(statement, "orelse", []))

    def loop(self, node: code.For) -> None:
        over = node.iterable
        counted = isinstance(over, code.Call) and self.dotted(over.func) == "enumerate"
        if isinstance(over, code.Call) and counted and over.arguments:
            over = over.arguments[0].value
        items = node.target.items if isinstance(node.target, code.Sequence) else []
        pair = items[1].items if counted and len(items) == 2 and isinstance(items[1], code.Sequence) else items
        if self.read(over) == "loader" and pair:
            self.bind(pair[0], "bytes")
        self.block(node.body)

    def bind(self, target: Any, value: Any) -> None:
        if isinstance(target, code.Name):
            self.names[target.name] = value
        else:
            for part in value if isinstance(value, list) else [value]:
                self.spoilt(part)

    def returned(self, value: Any) -> None:
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, Cast) and self.gives:
                part.reaches = part.reaches or self.gives
            else:
                self.spoilt(part)

    def spoilt(self, value: Any) -> None:
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, Cast):
                part.scaled = True

    def used(self, expr: Any) -> None:
        """Something unknown is done with an expression."""
        self.spoilt(self.read(expr))

    # Expressions

    def dotted(self, expr: Any) -> str:
        if isinstance(expr, code.Name):
            return self.imports.get(expr.name, expr.name)
        return f"{self.dotted(expr.base)}.{expr.name}" if isinstance(expr, code.Attribute) else ""

    def read(self, expr: Any) -> Any:
        if isinstance(expr, code.Name):
            return self.names.get(expr.name)
        if isinstance(expr, code.Call):
            return self.call(expr)
        if isinstance(expr, code.Attribute):
            base = self.read(expr.base)
            return "bytes" if base == "set" and expr.name == "data" else None
        if isinstance(expr, code.Subscript):
            found = self.read(expr.base)
            return found if found == "bytes" or isinstance(found, Cast) else None
        if isinstance(expr, code.Sequence):
            return [self.read(item) for item in expr.items]
        if expr is not None and not isinstance(expr, (code.Literal, code.Compare)):
            for part in code.walk(expr):
                if isinstance(part, (code.Name, code.Call)) and part is not expr:
                    self.used(part)
        return None

    def call(self, expr: code.Call) -> Any:
        name = canonical(self.dotted(expr.func))
        given = [self.read(argument.value) for argument in expr.arguments]
        first = given[0] if given else None
        wanted = self.wanted(expr)
        if name in _READERS:
            return "bytes"
        if name == "PIL.Image.open":
            return "picture"
        if name in _ARRAYS and (first in ("bytes", "picture") or wanted in _BYTES):
            return self.cast(expr) if wanted in _FLOATS else "bytes" if not wanted or wanted in _BYTES else None
        if name.startswith("torchvision.datasets.") and name.rpartition(".")[2] in _SETS:
            return "images" if self.untouched(expr) else "set"
        if name == "torch.utils.data.DataLoader" and first == "images":
            return "loader"
        network = self.networks.get(expr.at)
        for part in given:
            if isinstance(part, Cast) and network is not None and takes_raw(self.facts, network):
                part.reaches = self.facts.name_of(network, "the network")
            elif isinstance(part, Cast) and name not in _LOOKS:
                part.scaled = True
        return self.method(expr, wanted) if isinstance(expr.func, code.Attribute) else None

    def method(self, expr: code.Call, wanted: str) -> Any:
        assert isinstance(expr.func, code.Attribute)
        base, name = self.read(expr.func.base), expr.func.name
        if base == "picture" and name in _PICTURE:
            return base
        if base == "bytes":
            if name in ("float", "double", "half") or wanted in _FLOATS:
                return self.cast(expr)
            return base if name in _SHAPES else None
        if isinstance(base, Cast):
            if name in _SHAPES or name in ("float", "double", "half"):
                return base
            base.scaled = True
        return None

    def cast(self, expr: code.Call) -> Cast:
        found = Cast(text_of(expr), Place(self.facts.path, expr.at or (1, 1, 1, 1)))
        self.casts.append(found)
        return found

    def wanted(self, expr: code.Call) -> str:
        """The data type that a call asks for, by its name."""
        for argument in expr.arguments:
            value = argument.value
            spelled = str(value.value) if isinstance(value, code.Literal) else self.dotted(value)
            if argument.name == "dtype" or canonical(spelled) in _FLOATS | _BYTES:
                return canonical(spelled)
        return ""

    def untouched(self, expr: code.Call) -> bool:
        """Whether a data set gives its images as they are stored: `transform=PILToTensor()`."""
        given = next((a.value for a in expr.arguments if a.name == "transform"), None)
        return isinstance(given, code.Call) and self.dotted(given.func).endswith(".PILToTensor")


def raw_casts(facts: TrainingFacts) -> Iterator[Cast]:
    """Every cast of image bytes that nothing in the file scales and that a network takes, or a data set gives."""
    if any(map(_scales, facts.nodes_of(code.Binary, code.Augmented, code.Call))):
        return
    if any(_NORMALISES.search(name) for name in facts.mentions):
        return
    networks = {
        e.place.at: e.module
        for run in facts.runs
        for e in run.events
        if isinstance(e, Forward) and e.place.path == facts.path
    }
    casts: list[Cast] = []
    script = _Reader(facts, _imports(facts), networks, casts)
    script.block([s for s in facts.program if not isinstance(s, (code.Function, code.Class))])
    for function, gives in _functions(facts):
        reader = _Reader(facts, script.imports, networks, casts, dict(script.names), gives)
        reader.block(function.body)
    yield from (found for found in casts if found.reaches and not found.scaled)


def _scales(node: Any) -> bool:
    """`x / 255`, `x * (1 / 255)`, `x.div(255)`."""
    if isinstance(node, code.Binary):
        parts = [node.left, node.right]
    elif isinstance(node, code.Augmented):
        parts = [node.value]
    elif isinstance(node, code.Call) and isinstance(node.func, code.Attribute) and node.func.name.startswith("div"):
        parts = [argument.value for argument in node.arguments]
    else:
        return False
    return any(isinstance(p, code.Literal) and type(p.value) in (int, float) and p.value in _SCALES for p in parts)


def _functions(facts: TrainingFacts) -> Iterator[tuple[code.Function, str]]:
    """Every function, and for the `__getitem__` of a data set its class."""
    for node in facts.nodes_of(code.Class):
        stored = any(getattr(base, "name", "").endswith("Dataset") for base in node.bases)
        for part in node.body:
            if isinstance(part, code.Function):
                yield part, node.name if stored and part.name == "__getitem__" else ""
    for node in facts.program:
        if isinstance(node, code.Function):
            yield node, ""


def _imports(facts: TrainingFacts) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in facts.nodes_of(code.Import, code.ImportFrom):
        if isinstance(node, code.Import):
            found.update(
                {
                    bound or name.partition(".")[0]: name if bound else name.partition(".")[0]
                    for name, bound in node.names
                }
            )
        elif not node.level:
            found.update({bound or name: f"{node.module}.{name}" for name, bound in node.names})
    return found


def takes_raw(facts: TrainingFacts, network: Value) -> bool:
    """Whether a network's first layer is surely a Linear or a convolution, with no arithmetic before it."""
    if isinstance(network, Instance):
        hit = network.cls.find("forward")
        body = getattr(hit[0].node, "body", []) if hit is not None and isinstance(hit[0], FunctionValue) else []
        if not body or any(isinstance(node, code.Binary) for node in code.walk(body)):
            return False
    for part in modules.walk(network):
        if isinstance(part, Layer) and not part.children and part.name not in ("Flatten", "Identity", "Unflatten"):
            return part.name in LINEAR | CONVOLUTIONS
    return False
