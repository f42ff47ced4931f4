"""`gradlint facts FILE`: what the model believes, as text."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.facts import events
from gradlint.facts.events import Node
from gradlint.facts.model import TrainingFacts
from gradlint.facts.values import (
    Choice,
    Collection,
    Constant,
    External,
    FunctionValue,
    Instance,
    Layer,
    Manager,
    Mapping,
    Optimizer,
    Parameters,
    Scaler,
    Scheduler,
    Tensor,
    Unknown,
    Value,
)  # fmt: skip


def render(facts: TrainingFacts) -> str:
    """All facts of one file, one a line."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: TrainingFacts) -> Iterator[str]:
    yield f"file {facts.path}"
    for note in facts.bounded:
        yield f"bounded {note}"
    if facts.frameworks:
        yield "frameworks " + ", ".join(sorted(facts.frameworks))
    for optimizer in facts.optimizers:
        over = ", ".join(describe(facts, value) for value in optimizer.parameters) or "nothing seen"
        settings = ", ".join(f"{key}={describe(facts, value)}" for key, value in optimizer.settings.items())
        name = facts.name_of(optimizer, "-")
        yield f"optimizer {name} = {optimizer.name}({settings}) over {over}, line {optimizer.place.at[0]}"
    for scheduler in facts.schedulers:
        name, stepped = facts.name_of(scheduler, "-"), describe(facts, scheduler.optimizer)
        yield f"scheduler {name} = {scheduler.name} of {stepped}, line {scheduler.place.at[0]}"
    for scaler in facts.scalers:
        yield f"scaler {facts.name_of(scaler, '-')}, line {scaler.place.at[0]}"
    for module in facts.modules:
        yield f"module {module.cls.name}, line {module.place.at[0]}, gives {describe(facts, module.output)}"
    for loss in facts.losses:
        given, wanted = describe(facts, loss.input), describe(facts, loss.target)
        yield f"loss {loss.kind} of {given} and {wanted}, line {loss.place.at[0]}"
    for run in facts.runs:
        if any(True for _ in run.events):
            yield f"run {run.name}"
            yield from tree(facts, run.tree, 1)


def tree(facts: TrainingFacts, nodes: list[Node], depth: int) -> Iterator[str]:
    """An event tree, indented."""
    pad = "  " * depth
    for node in nodes:
        if isinstance(node, events.Branch):
            yield f"{pad}if {'not ' if node.condition.negated else ''}{node.condition.text}"
            for index, arm in enumerate(node.arms):
                if index:
                    yield f"{pad}else"
                yield from tree(facts, arm, depth + 1)
        elif isinstance(node, events.Repeat):
            yield f"{pad}repeat {node.hint}"
            yield from tree(facts, node.body, depth + 1)
        elif isinstance(node, events.Within):
            yield f"{pad}within {node.context.kind}"
            yield from tree(facts, node.body, depth + 1)
        elif isinstance(node, events.Call):
            yield f"{pad}call {node.function}"
            yield from tree(facts, node.body, depth + 1)
        elif isinstance(node, events.Exit):
            yield f"{pad}{node.kind}"
        else:
            yield f"{pad}{_event(facts, node)}  # line {node.place.at[0]}"


def _event(facts: TrainingFacts, event: events.Event) -> str:
    name = type(event).__name__
    if isinstance(event, events.Forward):
        recording = {True: "", False: " without recording", None: " perhaps without recording"}[event.recording]
        return f"{name} {describe(facts, event.module)}{recording}"
    if isinstance(event, events.Backward):
        via = f" through {describe(facts, event.via)}" if event.via is not None else ""
        return f"{name} {describe(facts, event.loss)}{via}"
    if isinstance(event, events.ZeroGrad):
        return f"{name} {describe(facts, event.target)}"
    if isinstance(event, events.OptimizerStep):
        via = f" through {describe(facts, event.via)}" if event.via is not None else ""
        return f"{name} {describe(facts, event.optimizer)}{via}"
    if isinstance(event, events.SchedulerStep):
        return f"{name} {describe(facts, event.scheduler)}"
    if isinstance(event, events.ClipGrad):
        return f"{name} {event.kind} {describe(facts, event.target)} at {describe(facts, event.limit)}"
    if isinstance(event, events.Unscale):
        return f"{name} {describe(facts, event.optimizer)}"
    if isinstance(event, events.ModeSwitch):
        mode = {True: "train", False: "eval", None: "train or eval"}[event.training]
        return f"{name} {describe(facts, event.module)} {mode}"
    if isinstance(event, events.Freeze):
        state = {True: "trainable", False: "frozen", None: "trainable or frozen"}[event.trainable]
        return f"{name} {describe(facts, event.target)} {state}"
    if isinstance(event, events.Construct):
        return f"{name} {describe(facts, event.value)}"
    if isinstance(event, events.Rebind):
        return f"{name} {event.attribute}"
    if isinstance(event, events.TakeSnapshot):
        return f"{name} {event.name} of {describe(facts, event.module)}{' copied' if event.copied else ''}"
    if isinstance(event, events.Accumulate):
        return f"{name} {describe(facts, event.tensor)} in {event.name}"
    if isinstance(event, events.Escape):
        return f"{name} {', '.join(describe(facts, value) for value in event.values)} to {event.callee}"
    if isinstance(event, (events.GradEdit, events.ManualUpdate)):
        return f"{name} {describe(facts, event.target)}"
    return name


def describe(facts: TrainingFacts, value: Value | None) -> str:
    """A value in a few words."""
    name = facts.names.get(id(value), "") if value is not None else ""
    if value is None:
        return "nothing"
    if isinstance(value, Constant):
        return f"{value.value!r}{' by default' if value.default else ''}"
    if isinstance(value, Tensor):
        return _tensor(facts, value)
    if isinstance(value, (Layer, Instance)):
        return f"{name} ({value.name})" if name else value.name
    if isinstance(value, (Optimizer, Scheduler)):
        return f"{name} ({value.name})" if name else value.name
    if isinstance(value, (Scaler, Manager)):
        return name or value.kind
    if isinstance(value, Parameters):
        return f"{'part of the ' if not value.whole else ''}parameters of " + ", ".join(
            describe(facts, owner) for owner in value.owners
        )
    if isinstance(value, Collection):
        more = ", …" if value.open or len(value.items) > 4 else ""
        return f"{value.kind}[{', '.join(describe(facts, item) for item in value.items[:4])}{more}]"
    if isinstance(value, Choice):
        return " or ".join(describe(facts, option) for option in value.options)
    if isinstance(value, External):
        return value.name
    if isinstance(value, FunctionValue):
        return value.name
    if isinstance(value, Mapping):
        return "dict"
    if isinstance(value, Unknown):
        return f"unknown {value.hint}" if value.hint else "unknown"
    return type(value).__name__.lower()


def _tensor(facts: TrainingFacts, tensor: Tensor) -> str:
    text = tensor.hint or "tensor"
    if tensor.loss is not None:
        text = f"loss {describe(facts, tensor.loss)}" if not isinstance(tensor.loss, Tensor) else "loss"
    if tensor.roots:
        text += " from " + ", ".join(
            sorted(facts.names.get(id(root), getattr(root, "name", "parameter")) for root in tensor.roots)
        )
    elif tensor.surely_cut:
        text += f" cut by {tensor.cuts[0].kind}"
    if tensor.form is not None:
        text += f" after {tensor.form.kind}"
    return text
