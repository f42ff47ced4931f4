"""GL405: a clip whose threshold never acts, or undoes the training."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradlint.diagnostics import Finding, Range
from gradlint.facts.events import Branch, Call, ClipGrad, Exit, Node, Repeat
from gradlint.facts.frameworks import MANAGERS
from gradlint.facts.model import CallFact, TrainingFacts
from gradlint.facts.protocol import nodes_around
from gradlint.facts.values import Constant, Optimizer, Place, Unknown, Value, constant, number
from gradlint.options import Options


def check(facts: TrainingFacts, options: Options) -> Iterator[Finding]:
    """Judge every clip whose threshold is one known number wherever it is run."""
    limits = {"norm": options.number("max-norm"), "value": options.number("clip-value")}
    made = {call.place: call for call in facts.calls}
    for place, clips in _clips(facts).items():
        values = {number(clip.limit) for clip, _ in clips}
        threshold = values.pop()
        clip = clips[0][0]
        if values or threshold is None or math.isnan(threshold) or 0 < threshold < limits[clip.kind]:
            continue
        if any(_guarded(clip.limit, tests) for clip, tests in clips) or (
            threshold == math.inf and _measures(made.get(place), clip.limit)
        ):
            continue
        shown = "inf" if math.isinf(threshold) else f"{threshold:g}"
        message: dict[str, str | int | float] = {
            "clip": clip.callee, "threshold": shown, "effect": _effect(clip.kind, threshold),
        }  # fmt: skip
        yield Finding("ineffective-clip", place.path, Range(*place.at), message)
    yield from _settings(facts, limits)


def _settings(facts: TrainingFacts, limits: dict[str, float]) -> Iterator[Finding]:
    """Thresholds that a framework's trainer is given; 0 and None switch its clip off."""
    for call in facts.calls:
        name = "gradient_clip_val" if MANAGERS.get(call.name) == "lightning" else ""
        if call.name.startswith(("transformers.", "trl.")) and call.name.endswith("TrainingArguments"):
            name = "max_grad_norm"
        threshold = number(call.keywords.get(name))
        kind = constant(call.keywords.get("gradient_clip_algorithm", Constant("norm")))
        if name and threshold is not None and isinstance(kind, str) and threshold >= limits.get(kind, math.inf):
            at = call.spans.get(name, call.place.at)
            values: dict[str, str | int | float] = {
                "clip": name, "threshold": f"{threshold:g}", "effect": _effect(kind, threshold),
            }  # fmt: skip
            yield Finding("ineffective-clip", call.place.path, Range(*at), values)


def _clips(facts: TrainingFacts) -> dict[Place, list[tuple[ClipGrad, list[str]]]]:
    """Clips by norm and value, by place, with what the run's branches depend on."""
    found: dict[Place, list[tuple[ClipGrad, list[str]]]] = {}
    for run in facts.runs:
        for event in run.events:
            if isinstance(event, ClipGrad) and event.kind in ("norm", "value") and not _own(event):
                found.setdefault(event.place, []).append((event, list(_tests(run.tree, event))))
    return found


def _tests(tree: list[Node], clip: ClipGrad) -> Iterator[str]:
    """What decides whether a clip is come to: the branches around it, and those before it that may leave."""
    around = nodes_around(tree, clip)
    yield from (node.condition.key for node in around if isinstance(node, Branch))
    for body in (tree, *(node.body for node in around if isinstance(node, (Call, Repeat)))):
        for node in body:
            if isinstance(node, Branch) and any(isinstance(part, Exit) for arm in node.arms for part in arm):
                yield node.condition.key


def _own(clip: ClipGrad) -> bool:
    """A method of something unseen, for which 0 may mean "off", or a clamp."""
    unseen = isinstance(clip.target, (Optimizer, Unknown))
    return "." in clip.callee and (unseen or clip.callee.endswith(".clamp_"))


def _guarded(limit: Value | None, tests: list[str]) -> bool:
    """Whether a setting that can be changed from outside is tested around its use: `if args.clip > 0:`."""
    return (
        isinstance(limit, Constant)
        and limit.default
        and any(repr(limit.value) in test.rpartition("|")[2].split(",") for test in tests)
    )


def _measures(call: CallFact | None, limit: Value | None) -> bool:
    """Whether an infinite threshold is for the norm that comes back, for an exception, or a setting's "off"."""
    if call is None or (isinstance(limit, Constant) and limit.default):
        return True
    return not call.discarded or constant(call.keywords.get("error_if_nonfinite")) is not None


def _effect(kind: str, threshold: float) -> str:
    if threshold == math.inf:
        return "never clips anything"
    if threshold > 0:
        return "lets every plausible gradient through"
    if threshold == 0:
        return "makes every gradient zero: nothing is trained"
    if kind == "norm":
        return "turns every gradient round: each step climbs"
    return "replaces every gradient by the threshold"
