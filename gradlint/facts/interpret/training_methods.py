"""Methods of what trains: optimizers, schedulers, scalers, and `backward` of a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradlint.facts.events import (
    Backward,
    ClipGrad,
    Escape,
    OptimizerStep,
    ScalerUpdate,
    SchedulerStep,
    Unscale,
    ZeroGrad,
)
from gradlint.facts.interpret import calls, tensors
from gradlint.facts.interpret.method_call import Arguments, Keywords, MethodCall, argument
from gradlint.facts.record import replace
from gradlint.facts.roles import interesting, last_name
from gradlint.facts.values import (
    Choice,
    Constant,
    FunctionValue,
    Instance,
    Mapping,
    Optimizer,
    Partial,
    Place,
    Tensor,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from gradlint.facts.interpret.interpreter import Interpreter


ALTERNATIVES = 2
"""Optimizers that a scaler may hold and that are told apart: each one doubles the paths."""


def _step(
    it: Interpreter, optimizer: Value, arguments: Arguments, keywords: Keywords, place: Place, via: Value | None = None
) -> Value:
    """`optimizer.step(closure)`: the closure runs inside, once or more."""
    closure = argument(arguments, keywords, 0, "closure")
    result: Value = Unknown("loss")
    if isinstance(closure, FunctionValue | Instance | Partial):
        recording, mode = it.recording, it.recording_context
        if recording is False and mode != "inference_mode":
            # torch's own optimizers turn recording on around their closures; of others nobody knows.
            recording, mode = (True if isinstance(optimizer, Optimizer) and optimizer.known else None), "enable_grad"
        with it.grad_mode(recording, mode):
            result = calls.apply(it, closure, [], {}, place, "closure")
    it.emit(OptimizerStep(place, it.frame.function, optimizer, via, closure, result))
    return result


def optimizer(it: Interpreter, call: MethodCall[Value]) -> Value:
    """A method of an optimizer."""
    receiver, name, arguments, place = call.receiver, call.name, call.arguments, call.place
    if name == "step":
        return _step(it, receiver, arguments, call.keywords, place)
    if name in ("zero_grad", "clear_grad", "clear_gradients"):
        it.emit(ZeroGrad(place, it.frame.function, receiver))
        return Constant(None)
    if name == "backward":
        it.emit(
            Backward(
                place, it.frame.function, arguments[0] if arguments else Unknown("loss"), via=receiver, scaled=True
            )
        )
        return Constant(None)
    if name in ("clip_grad_norm", "clip_grad_norm_", "clip_master_grads", "clip_gradients"):
        limit = call.argument(0, "max_norm")
        it.emit(ClipGrad(place, it.frame.function, "norm", receiver, limit, call.hint))
        return it.unknown("grad_norm")
    if name in (
        "state_dict",
        "load_state_dict",
        "add_param_group",
        "train",
        "eval",
        "__repr__",
        "register_step_post_hook",
    ):
        if name == "add_param_group":
            calls.record(it, "Optimizer.add_param_group", arguments, call.keywords, receiver, place, receiver=receiver)
        if name == "add_param_group" and isinstance(receiver, Optimizer) and arguments:
            receiver.parameters = (*receiver.parameters, *_group_parameters(arguments[0]))
        return it.unknown("state")
    if name == "synchronize":
        return Constant(None)
    it.emit(Escape(place, it.frame.function, (receiver, *[a for a in arguments if interesting(a)]), call.hint))
    return it.unknown(last_name(call.hint), "call")


def _group_parameters(group: Value) -> tuple[Value, ...]:
    if isinstance(group, Mapping) and "params" in group.items:
        return (group.items["params"],)
    return (group,)


def scheduler(it: Interpreter, call: MethodCall[Value]) -> Value:
    """A method of a learning rate scheduler."""
    if call.name in ("step", "step_update", "step_batch"):
        metric = call.argument(0, "metrics")
        it.emit(SchedulerStep(call.place, it.frame.function, call.receiver, metric))
    elif call.name in ("zero_grad",):
        it.emit(ZeroGrad(call.place, it.frame.function, call.receiver))
    return it.unknown(last_name(call.hint), "call")


def scaler(it: Interpreter, call: MethodCall[Value]) -> Value:
    """A method of a GradScaler."""
    receiver = call.receiver
    first = call.arguments[0] if call.arguments else None
    if call.name in ("step", "unscale_") and isinstance(first, Choice) and len(first.options) <= ALTERNATIVES:
        return calls.each(it, first, lambda one: scaler(it, replace(call, arguments=[one])), call.place)
    if call.name == "scale" and first is not None:
        scaled = tensors.derive(it, [first], call.place)
        scaled.loss = first.loss if isinstance(first, Tensor) else first
        scaled.attribute, scaled.owner = "scaled", receiver
        scaled.divided = isinstance(first, Tensor) and first.divided
        scaled.hint = "loss"
        return scaled
    if call.name == "step" and first is not None:
        it.emit(OptimizerStep(call.place, it.frame.function, first, receiver))
    elif call.name == "update":
        it.emit(ScalerUpdate(call.place, it.frame.function, receiver))
    elif call.name == "unscale_" and first is not None:
        it.emit(Unscale(call.place, it.frame.function, receiver, first))
    return it.unknown(last_name(call.hint), "call", (receiver,))


def backward(
    it: Interpreter, loss: Value, arguments: Arguments, keywords: Keywords, place: Place, via: Value | None = None
) -> Value:
    """`loss.backward(...)`."""
    surely = _scaled_whole(loss)
    scaled = surely is not None or any(
        isinstance(part, Tensor) and part.attribute == "scaled" for part in tensors.ancestry(loss).values()
    )
    if surely is not None and via is None:
        via = surely.owner
    it.emit(
        Backward(
            place, it.frame.function, loss, argument(arguments, keywords, 1, "retain_graph"),
            argument(arguments, keywords, 2, "create_graph"),
            via, scaled or via is not None, keywords.get("inputs"), argument(arguments, keywords, 0, "gradient"),
        )
    )  # fmt: skip
    return Constant(None)


def _scaled_whole(loss: Value) -> Tensor | None:
    """What a scaler made of a loss, if nothing unscaled was added to it since."""
    current: Value | None = loss
    while isinstance(current, Tensor) and current.attribute != "scaled":
        sources = [part for part in current.sources if isinstance(part, Tensor)]
        current = sources[0] if len(sources) == 1 else None
    return current if isinstance(current, Tensor) else None
