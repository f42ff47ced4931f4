"""GL810: a DistributedSampler that shuffles a training set for several epochs and is never told the epoch."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts import code
from gradlint.facts.loaders import TrainingLoader, training_loaders
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.values import Constant, Steps, integer
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge the sampler of every training loader whose loop an epoch loop repeats."""
    samplers = {id(call.result): call for call in facts.calls if _distributed(call)}
    for found in training_loaders(facts):
        call = samplers.get(id(found.given("sampler")))
        if call is None or not _shuffles(call) or not _several_epochs(found) or _told(facts, call, samplers):
            continue
        values = {"sampler": facts.name_of(call.result, "DistributedSampler")}
        yield Finding("sampler-epoch-not-set", call.place.path, Range(*call.place.at), values)


def _distributed(call: CallFact) -> bool:
    return call.name.startswith("torch.utils.data.") and call.name.endswith(".DistributedSampler")


def _shuffles(call: CallFact) -> bool:
    if "**" in call.keywords:
        return False
    shuffle = call.argument(3, "shuffle")
    return shuffle is None or (isinstance(shuffle, Constant) and shuffle.value is True)


def _several_epochs(found: TrainingLoader) -> bool:
    # A loop in another file may tell the sampler there.
    if found.loop is None or found.loop.place.path != found.call.place.path:
        return False
    return any(not _once(loop.over) for loop in found.outer)


def _once(over: object) -> bool:
    return isinstance(over, Steps) and over.kind == "range" and [integer(v) for v in over.arguments] in ([1], [0, 1])


def _told(facts: TrainingFacts, call: CallFact, samplers: dict[int, CallFact]) -> bool:
    """Whether some `set_epoch` in the file may be this sampler's: all others name a sampler that is another one."""
    if any(isinstance(node, code.Literal) and node.value == "set_epoch" for node in facts.nodes):
        return True
    others = {facts.name_of(c.result, "").removeprefix("self.") for key, c in samplers.items() if c is not call}
    own = facts.name_of(call.result, "").removeprefix("self.")
    callers = {name for name, methods in facts.uses.items() if "set_epoch" in methods}
    if not callers:
        return "set_epoch" in facts.mentions
    return own in callers or not callers <= others
