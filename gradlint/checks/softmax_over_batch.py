"""GL716: a softmax over the batch, or over another dimension than the one that holds the classes."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import outputs
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import Layer, Operation, Place, Tensor, Value, integer
from gradlint.options import Options

_NAMES = {"softmax": "Softmax", "log_softmax": "Log-softmax"}
_COMPARING = frozenset({"KLDivLoss", "CrossEntropyLoss"})
_LIKELIHOODS = frozenset({"NLLLoss", "NLLLoss2d"})
_PASSING = frozenset({"dropout", "scale", "shift"})


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the softmax in front of every loss, and each from which entries are picked along another dimension."""
    seen: set[int] = set()
    for value, used, likelihood in _uses(facts):
        operation = _over_first(value)
        if operation is None or not isinstance(value, Tensor) or not _batch_first(value, operation, likelihood):
            continue
        place = operation.subject.place if isinstance(operation.subject, Layer) else None
        place = place or operation.place
        if place.path == facts.path and id(operation) not in seen:
            seen.add(id(operation))
            shape = str(value.shape) if value.shape is not None else "(N, …)"
            yield _finding(place, operation.kind, "0, the batch,", shape, used)
    yield from _crossed(facts)
    yield from _turned(facts)


def _finding(place: Place, kind: str, dim: str, shape: str, loss: str) -> Finding:
    values = {"function": _NAMES[kind], "dim": dim, "shape": shape, "loss": loss}
    return Finding("softmax-over-batch", place.path, Range(*place.at), values)


def _turned(facts: TrainingFacts) -> Iterator[Finding]:
    """A likelihood that takes its classes from dimension 1, where `permute` or `transpose` put another one."""
    for loss in facts.losses:
        value = loss.input
        before = value.sources[0] if isinstance(value, Tensor) and value.sources else None
        if loss.kind not in _LIKELIHOODS or not isinstance(value, Tensor) or not isinstance(before, Tensor):
            continue
        made, form = before.form, value.form
        if made is None or form is None or form is made or made.kind not in _NAMES or before.place != made.place:
            continue
        if form.dim not in (None, 1) and form.place.path == facts.path and outputs.trains(loss):
            yield _finding(form.place, form.kind, f"{made.dim}, not the classes,", "(N, …)", outputs.named(facts, loss))


def _crossed(facts: TrainingFacts) -> Iterator[Finding]:
    """Two distributions to compare, of which only one has its classes in dimension 0."""
    for loss in facts.losses:
        sides = [outputs.form_of(side) for side in (loss.input, loss.target)]
        forms = [form for form in sides if form is not None and form.kind in _NAMES and form.dim is not None]
        if loss.kind not in _COMPARING or len(forms) < 2 or not outputs.trains(loss):
            continue
        first = [form for form in forms if form.dim == 0]
        other = [form for form in forms if form.dim]
        if len(first) == 1 and other and (other[0].dim or 0) > 0 and first[0].place.path == facts.path:
            named = outputs.named(facts, loss)
            yield _finding(first[0].place, first[0].kind, "0, the batch,", "(N, …)", named)


def _uses(facts: TrainingFacts) -> Iterator[tuple[Value | None, str, bool]]:
    """What goes into a loss, or is picked from by `gather`; and whether a loss takes the classes from dimension 1."""
    for loss in facts.losses:
        if loss.kind != "CrossEntropyLoss" and outputs.trains(loss):
            yield loss.input, outputs.named(facts, loss), loss.kind in _LIKELIHOODS
    for call in facts.calls:
        if call.name == "Tensor.gather" and integer(call.argument(0, "dim")) == 1 and call.recording is not False:
            yield call.receiver, "gather(1, …)", False


def _over_first(value: Value | None) -> Operation | None:
    """The softmax over dimension 0 that gave a value directly, of a layer's output, no sequence behind it."""
    if not isinstance(value, Tensor) or value.form is None or value.form.dim != 0 or value.place != value.form.place:
        return None
    operation = value.chain
    if operation is None or operation.kind not in _NAMES:
        return None
    before = operation.previous
    while before is not None and before.kind in _PASSING:
        before = before.previous
    if before is None or before.kind not in ("linear", "conv"):
        return None
    while before is not None:
        if before.kind in ("recurrent", "attention"):
            return None
        before = before.previous
    return operation


def _batch_first(value: Tensor, operation: Operation, likelihood: bool) -> bool:
    """Whether dimension 0 surely is the batch: there is another one for the classes."""
    least = value.shape.least if value.shape is not None else 0
    image = operation.previous is not None and operation.previous.kind == "conv"
    return least >= (2 if likelihood or not image else 4)
