"""Walk the autograd graph from a loss, give every node to the module call that made it, and measure gradients in it.

The walk happens before the user's backward runs, so saved results can still be read. Hooks sit on autograd nodes, never
on tensors or modules: `register_full_backward_hook` raises on in-place activations, a prehook on a node does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .calls import ACTIVATIONS, Call, Calls
from .functions import VIEWS, Operations, users_own
from .samples import Samples, measurable

ACCUMULATE = "torch::autograd::AccumulateGrad"
_THROUGH = VIEWS - {"ExpandBackward0", "SliceBackward0", "SelectBackward0", "CopySlices"}
_PRODUCTS = ("AddmmBackward0", "MmBackward0", "BmmBackward0", "BaddbmmBackward0", "ConvolutionBackward0")
_MAX_MEASURED_FUNCTIONS = 1500


class Function:
    """An autograd node outside any leaf call: a functional operation of the user's code."""

    __slots__ = (
        "activation",
        "dtype",
        "number",
        "operation",
        "parent",
        "place",
        "position",
        "shape",
        "stats",
        "thread",
    )

    def __init__(self, operation: str, number: int, thread: int, parent: Call | None, position: int) -> None:
        self.operation = operation
        self.number = number
        self.thread = thread
        self.parent = parent
        self.position = position
        self.place: tuple[str, int, str] | None = None
        self.stats: int | None = None
        self.shape: list[int] | None = None
        self.dtype: str | None = None
        self.activation: str | None = None


class Delta:
    """Gradient statistics of one node of the TraceGraph, as tickets of the segment's samples."""

    __slots__ = ("backward", "incoming", "outgoing", "parts")

    def __init__(self) -> None:
        self.outgoing: int | None = None
        self.incoming: int | None = None
        self.parts: torch.Tensor | None = None
        self.backward: int | None = None


class Walk:
    """What lies below a loss: autograd nodes, their edges and the leaves."""

    def __init__(self, roots: list[Any]) -> None:
        self.nodes: list[Any] = []
        self.names: list[str] = []
        self.numbers: list[int] = []
        self.edges: list[list[tuple[int, int, int]]] = []
        self.leaves: list[tuple[int, torch.Tensor]] = []
        index: dict[Any, int] = {}
        stack: list[Any] = []

        def add(node: Any) -> int:
            number = index.get(node)
            if number is None:
                number = index[node] = len(self.nodes)
                self.nodes.append(node)
                name = node.name()
                self.names.append(name)
                self.numbers.append(-1 if name == ACCUMULATE else node._sequence_nr())
                self.edges.append([])
                stack.append(number)
            return number

        self.roots = [add(root) for root in roots if root is not None]
        nodes, names, edges = self.nodes, self.names, self.edges
        while stack:
            here = stack.pop()
            node = nodes[here]
            if names[here] == ACCUMULATE:
                self.leaves.append((here, node.variable))
                continue
            below = edges[here]
            for slot, (child, output) in enumerate(node.next_functions):
                if child is not None:
                    below.append((slot, add(child), output))


class Graph:
    """Nodes and edges of one segment, gathered over all its backward calls."""

    def __init__(self, calls: Calls, operations: Operations, samples: Samples) -> None:
        self.calls = calls
        self.operations = operations
        self.samples = samples
        self.functions: dict[tuple[int, int], Function] = {}
        self.points = calls.output_points
        self.edges: dict[tuple[Any, Any, int, int], dict[str, Any]] = {}
        self.deltas: dict[Any, Delta] = {}
        self.uses: dict[int, list[Any]] = {}
        self.leaves: dict[int, torch.Tensor] = {}
        self._gathering: list[Delta] = []
        self._measured = 0

    def attach(self, walk: Walk, thread: int, backward: int) -> Callable[[], None]:
        """Add the walk to the graph and hook its nodes; the returned function removes every hook."""
        threads = self._threads(walk, thread)
        numbers = walk.numbers
        owners: list[tuple[Call | None, int]] = []
        timelines = self.calls.timelines
        for number, name, key in zip(numbers, walk.names, threads, strict=False):
            timeline = timelines.get(key)
            owners.append((None, -1) if name == ACCUMULATE or timeline is None else timeline.at(number))
        self._decide_collapse(walk, owners)
        units: list[Any] = []
        for position, (owner, place) in enumerate(owners):
            units.append(self._unit(walk, position, owner, place, numbers[position], threads[position]))
        degree: dict[tuple[int, int], int] = {}
        for below in walk.edges:
            for _, child, output in below:
                degree[child, output] = degree.get((child, output), 0) + 1
        handles: list[Any] = []
        self._connect(walk, units)
        self._hook(walk, units, numbers, threads, degree, backward, handles)

        def remove() -> None:
            for handle in handles:
                handle.remove()

        return remove

    def _threads(self, walk: Walk, thread: int) -> list[int]:
        """The thread that made each node: told by outputs of calls in other threads, inherited downwards."""
        if len(self.calls.timelines) < 2:
            return [thread] * len(walk.nodes)
        marked: dict[Any, int] = {}
        for call in self.calls.calls:
            for node in call.results:
                marked[node] = call.thread
        found = [0] * len(walk.nodes)
        for root in walk.roots:
            found[root] = thread
        for here, node in enumerate(walk.nodes):
            own = found[here] = marked.get(node, found[here] or thread)
            for _, child, _ in walk.edges[here]:
                if not found[child]:
                    found[child] = own
        return found

    def _decide_collapse(self, walk: Walk, owners: list[tuple[Call | None, int]]) -> None:
        """A leaf call is one node, unless the user wrote several layers as plain functions into one module."""
        products: dict[Call, int] = {}
        for (owner, _), name in zip(owners, walk.names, strict=False):
            if owner is not None and name in _PRODUCTS and not owner.children:
                products[owner] = products.get(owner, 0) + 1
        for owner, count in products.items():
            if count > 1 and users_own(type(owner.module), self.calls):
                owner.collapse = False

    def _unit(self, walk: Walk, index: int, owner: Call | None, position: int, number: int, thread: int) -> Any:
        """The TraceGraph node that an autograd node belongs to; None for leaves and for views between nodes."""
        name = walk.names[index]
        if name == ACCUMULATE:
            return None
        if owner is not None and (owner.skipped or (not owner.children and owner.collapse)):
            return owner
        if name in VIEWS:
            return None
        key = (thread, number)
        function: Function | None = self.calls.functions.get(key)
        if function is None:
            operation = name.split("Backward")[0]
            function = self.calls.functions[key] = self.functions[key] = Function(
                operation, number, thread, owner, position
            )
            function.place, function.stats = self.operations.find(thread, number)
            node = walk.nodes[index]
            metadata = getattr(node, "_input_metadata", None)
            if metadata:
                function.shape, function.dtype = _metadata(metadata, 0)
            function.activation = ACTIVATIONS.get(name)
            if function.activation and function.stats is None and not (owner is not None and owner.recomputed):
                saved = _saved(node)
                if saved is not None:
                    function.stats = self.samples.take(saved, function.activation)
        return function

    def _connect(self, walk: Walk, units: list[Any]) -> None:
        """Edges between units; views that belong to nobody are passed through, leaves become parameter uses."""
        for here, unit in enumerate(units):
            if unit is None:
                continue
            for _, child, output in walk.edges[here]:
                self._follow(walk, units, unit, child, output, 0)

    def _follow(self, walk: Walk, units: list[Any], target: Any, child: int, output: int, depth: int) -> None:
        unit = units[child]
        if unit is target:
            return
        if unit is not None:
            node = walk.nodes[child]
            metadata = getattr(node, "_input_metadata", None)
            shape, dtype = _metadata(metadata, output) if metadata else (None, None)
            self.edges.setdefault((unit, target, walk.numbers[child], output), {"shape": shape, "dtype": dtype})
        elif walk.names[child] == ACCUMULATE:
            variable = walk.nodes[child].variable
            self.leaves[id(variable)] = variable
            users = self.uses.setdefault(id(variable), [])
            if target not in users:
                users.append(target)
        elif depth < 64:
            for _, below, slot in walk.edges[child]:
                self._follow(walk, units, target, below, slot, depth + 1)

    def _hook(
        self,
        walk: Walk,
        units: list[Any],
        numbers: list[int],
        threads: list[int],
        degree: dict[tuple[int, int], int],
        backward: int,
        handles: list[Any],
    ) -> None:
        points = self.calls.output_points
        entries: dict[tuple[int, int], list[tuple[Delta, bool]]] = {}
        gathered: dict[int, list[tuple[Delta, int]]] = {}
        # The first output that a backward reaches: of an encoder's LSTM that is often the state, not the sequence.
        reached: dict[Call, tuple[int, int, int]] = {}
        for here, unit in enumerate(units):
            if walk.names[here] == ACCUMULATE:
                continue
            for output, call in points.get((threads[here], numbers[here]), ()):
                rank = call.points.index((numbers[here], output))
                if call.measured and (call not in reached or rank < reached[call][0]):
                    reached[call] = (rank, here, output)
            if isinstance(unit, Function) and self._measured < _MAX_MEASURED_FUNCTIONS:
                self._measured += 1
                self._want(unit, backward, entries, here, 0)
        for call, (_, here, output) in reached.items():
            self._want(call, backward, entries, here, output)
        inputs = self._inputs(walk, units)
        for unit, (child, output, sources) in inputs.items():
            delta = self.deltas.get(unit)
            if delta is None or delta.backward != backward:
                continue
            if degree[child, output] == 1 and walk.names[child] != ACCUMULATE:
                entries.setdefault((child, output), []).append((delta, True))
            else:
                for here, slot in sources:
                    gathered.setdefault(here, []).append((delta, slot))
        by_node: dict[int, list[tuple[int, Delta, bool]]] = {}
        for (here, output), wanted in entries.items():
            for delta, incoming in wanted:
                by_node.setdefault(here, []).append((output, delta, incoming))
        for here, wanted_here in by_node.items():
            handles.append(walk.nodes[here].register_prehook(_prehook(wanted_here, self.samples)))
        for here, parts in gathered.items():
            handles.append(walk.nodes[here].register_hook(_posthook(parts)))
        self._gathering = [delta for parts in gathered.values() for delta, _ in parts]

    def _want(self, unit: Any, backward: int, entries: Any, here: int, output: int) -> None:
        delta = self.deltas.get(unit)
        if delta is None:
            delta = self.deltas[unit] = Delta()
            delta.backward = backward
            entries.setdefault((here, output), []).append((delta, False))

    def _inputs(self, walk: Walk, units: list[Any]) -> dict[Any, tuple[int, int, list[tuple[int, int]]]]:
        """For each unit the point that is its first differentiable input, and the node slots that lead there."""
        boundary: dict[Any, dict[tuple[int, int], list[tuple[int, int]]]] = {}
        for here, unit in enumerate(units):
            if unit is None:
                continue
            for slot, child, output in walk.edges[here]:
                if units[child] is unit or (walk.names[child] == ACCUMULATE and _is_parameter(walk.nodes[child])):
                    continue
                if units[child] is None and _only_parameters(walk, child):
                    continue
                boundary.setdefault(unit, {}).setdefault((child, output), []).append((here, slot))
        chosen = {}
        for unit, points in boundary.items():
            if len(points) > 1 and isinstance(unit, Function):
                continue
            wanted = unit.inputs[0]["shape"] if isinstance(unit, Call) and unit.inputs else None
            (child, output), sources = min(
                points.items(), key=lambda item: len(points) > 1 and _shape(walk, *item[0]) != wanted
            )
            chosen[unit] = (child, output, sources)
        return chosen

    def is_weightlike(self, leaf: torch.Tensor) -> bool:
        """A leaf that requires grad and is used where weights are, not an observed input."""
        return isinstance(leaf, torch.nn.Parameter) or bool(self.uses.get(id(leaf)))

    def owner_of(self, thread: int, point: tuple[int, int]) -> Any:
        """The unit whose output sits at this point; the innermost where several share it."""
        function = self.functions.get((thread, point[0]))
        if function is not None:
            return function
        for output, call in self.points.get((thread, point[0]), ()):
            if output == point[1]:
                return call
        return None

    def calls_identity(self, calls: list[Call]) -> list[tuple[Any, Any, Any, Any]]:
        """Flows that autograd does not see: an output without graph that is the input of a later call."""
        return [flow for call in calls if not call.children for flow in call.flows]

    def finish_backward(self) -> None:
        """Sample the input gradients that had to be added up from several uses."""
        for delta in self._gathering:
            if delta.parts is not None:
                if delta.incoming is None and measurable(delta.parts):
                    delta.incoming = self.samples.gradient(delta.parts)
                delta.parts = None
        self._gathering = []


def _prehook(wanted: list[tuple[int, Delta, bool]], samples: Samples) -> Callable[[Any], None]:
    def hook(gradients: Any) -> None:
        tickets: dict[int, int] = {}
        for output, delta, incoming in wanted:
            gradient = gradients[output] if output < len(gradients) else None
            if gradient is None or not measurable(gradient):
                continue
            ticket = tickets.get(output)
            if ticket is None:
                ticket = tickets[output] = samples.gradient(gradient)
            if incoming:
                if delta.incoming is None:
                    delta.incoming = ticket
            elif delta.outgoing is None:
                delta.outgoing = ticket

    return hook


def _posthook(parts: list[tuple[Delta, int]]) -> Callable[[Any, Any], None]:
    def hook(gradients: Any, _outputs: Any) -> None:
        for delta, slot in parts:
            gradient = gradients[slot] if slot < len(gradients) else None
            if gradient is not None and gradient.layout == torch.strided:
                gradient = gradient.detach()
                delta.parts = gradient if delta.parts is None else delta.parts + gradient

    return hook


def _is_parameter(node: Any) -> bool:
    return isinstance(node.variable, torch.nn.Parameter)


def _only_parameters(walk: Walk, index: int) -> bool:
    """Whether this chain of views ends in a parameter (`weight.t()`)."""
    while walk.names[index] in VIEWS and len(walk.edges[index]) == 1:
        index = walk.edges[index][0][1]
    return walk.names[index] == ACCUMULATE and _is_parameter(walk.nodes[index])


def _shape(walk: Walk, child: int, output: int) -> list[int] | None:
    return _metadata(getattr(walk.nodes[child], "_input_metadata", ()), output)[0]


def _metadata(metadata: Any, output: int) -> tuple[list[int] | None, str | None]:
    if output >= len(metadata):
        return None, None
    entry = metadata[output]
    try:
        return [int(size) for size in entry.shape], str(entry.dtype)[6:]
    except (AttributeError, RuntimeError, TypeError):
        return None, None


def _saved(node: Any) -> torch.Tensor | None:
    """The output that the node saved for its backward; reading it runs unpack hooks, so never under checkpointing."""
    for name in ("_saved_result", "_saved_output"):
        try:
            value = getattr(node, name)
        except (AttributeError, RuntimeError):
            continue
        if isinstance(value, torch.Tensor) and measurable(value):
            return value.detach()
    return None


def chain(tensor: torch.Tensor, length: int = 4) -> list[tuple[str, Any]]:
    """(operation, node) backwards from a tensor along first inputs, views left out."""
    found: list[tuple[str, Any]] = []
    node = tensor.grad_fn
    steps = 0
    while node is not None and len(found) < length and steps < 32:
        steps += 1
        name = node.name()
        if name == ACCUMULATE:
            break
        if name not in _THROUGH:
            found.append((name.split("Backward")[0], node))
        # The data input comes first, except in addmm(bias, input, weight).
        following = node.next_functions
        position = 1 if name.startswith(("Addmm", "Baddbmm")) else 0
        node = following[position][0] if position < len(following) else None
    return found
