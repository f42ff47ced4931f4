"""A trace as text: the layers in forward order with bars of log10 gradient, then findings with their verdicts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from gradlint.diagnostics import Diagnostic
from gradlint.facts.magnitudes import format_decades
from gradlint.plain_diagnostic import measurement
from gradlint.tracer.graph import Layer, TraceGraph
from gradlint.tracer.outcome import Outcome

BAR = 24
MOST = 40
SMALL_GAIN = 0.02
"""Share of the gradient's norm below which a layer is marked as the smallest local gain whatever the others do."""
LOSS = -3.0
SUSPECT_GAIN = 0.2
"""Where a network loses this many decades in all, a layer that passes on less than this is marked."""
STRATEGIES = {
    "files": ", missing files made up",
    "pretend-cuda": ", a GPU pretended",
    "batch-cap": ", with small batches",
    "build": ", network built without the script's loop",
}
COLOURS = {"confirmed": "31", "refuted": "32", "inconclusive": "33", "bold": "1", "dim": "2", "blue": "34", "red": "31"}


def render(outcome: Outcome, *, colour: bool = False) -> str:
    """The whole report, ending in a newline."""
    return "\n".join([*_head(outcome), *_layers(outcome, colour), *_findings(outcome, colour), ""])


def summary(outcome: Outcome) -> str:
    """`2 confirmed, 1 refuted, 1 inconclusive`, or that there is nothing to report."""
    counts = [(kind, len(outcome.having(kind))) for kind in ("confirmed", "refuted", "inconclusive")]
    other = sum(1 for item in outcome.diagnostics if item.verdict is None)
    parts = [f"{count} {kind}" for kind, count in counts if count]
    parts += [f"{other} without a measurement"] if other else []
    return ", ".join(parts) if parts else "nothing to report"


def _head(outcome: Outcome) -> Iterator[str]:
    record = outcome.record
    steps = f"{record['steps']} OptimizerStep{'' if record['steps'] == 1 else 's'}"
    how = STRATEGIES.get(record["strategy"], "")
    yield f"trace of {_short(record['script'])}: {steps} on {record['device']}, {record['elapsed']:.1f} s{how}"
    for assumption in record["assumptions"]:
        if assumption["kind"] not in ("seed", "loader", "scratch-directory", "network"):
            yield f"  assumed: {assumption['message']}"
    verification = record["verification"]
    if verification is not None and verification["identical"]:
        yield f"  verified: {verification['compared']} states after the last step are those of an untraced run"
    if record["error"] is not None:
        yield f"  ended early: {record['error']['message']}"


def _layers(outcome: Outcome, colour: bool) -> Iterator[str]:
    layers = [
        layer for layer in outcome.graph.layers() if layer.decades is not None or layer.is_weight or layer.is_silent
    ]
    measured = [layer.decades for layer in layers if layer.decades is not None]
    if not measured and not any(layer.is_silent for layer in layers):
        return
    culprit = marked_culprit(outcome.graph)
    shown = _shortened(layers, culprit)
    names = max(len("layer"), *(len(_label(layer)) for layer in shown if layer is not None))
    high, low = max([0.0, *measured]), min([-2.0, *measured])
    yield ""
    yield _paint(f"  {'layer':<{names}}  {'log10 gradient':<{BAR + 7}}  {'gain':>7}  {'predicted':>9}", "bold", colour)
    for layer in shown:
        if layer is None:
            yield _paint(f"  {'…':<{names}}", "dim", colour)
            continue
        bar = _bar(layer.decades, low, high)
        tone = "" if layer.decades is None else "blue" if layer.decades < -3.0 else "red" if layer.decades > 3.0 else ""
        absent = f"{'0' if layer.is_silent else '—':>7}"
        decades = absent if layer.decades is None else f"{layer.decades:+7.2f}"
        line = f"  {_label(layer):<{names}}  {_paint(f'{bar:<{BAR}}', tone, colour)}{decades}"
        line += f"  {_gain(layer.gain):>7}  {_gain(layer.predicted):>9}"
        if culprit is not None and layer.id == culprit.id:
            line += _paint("  ◀ smallest local gain", "confirmed", colour)
        yield line
    for span in outcome.graph.spans():
        yield f"  gradient at {span.first.name} is {format_decades(span.decades)} of the one at {span.last.name}"


def marked_culprit(graph: TraceGraph) -> Layer | None:
    """The layer with the smallest local gain, where that is small enough to point at."""
    culprit = graph.culprit()
    if culprit is None or culprit.norm_gain is None:
        return None
    limit = SUSPECT_GAIN if any(span.decades <= LOSS for span in graph.spans()) else SMALL_GAIN
    return culprit if culprit.norm_gain < limit else None


def _findings(outcome: Outcome, colour: bool) -> Iterator[str]:
    order = {"confirmed": 0, "inconclusive": 1, "refuted": 3}
    ranked = sorted(
        outcome.diagnostics,
        key=lambda item: (2 if item.verdict is None else order[item.verdict.verdict], item.sort_key),
    )
    yield ""
    for item in ranked:
        yield from _finding(item, colour)
    if outcome.diagnostics or not outcome.failure:
        yield _paint(summary(outcome), "bold", colour)


def _finding(item: Diagnostic, colour: bool) -> Iterator[str]:
    cell = "" if item.cell is None else f"cell {item.cell}:"
    place = f"{_short(item.filename)}:{cell}{item.range.line}:{item.range.column}"
    yield f"{place}: {_paint(item.code, 'bold', colour)} {item.message}"
    verdict = item.verdict
    if verdict is None:
        return
    said = _paint(verdict.verdict, verdict.verdict, colour)
    reason = "" if verdict.reason in item.message else f": {verdict.reason}"
    number = measurement(verdict)
    yield f"    {said}{reason}{f' [{number}]' if number else ''}"


def _shortened(layers: Sequence[Layer], culprit: Layer | None) -> list[Layer | None]:
    """All layers, or the first, the last, the culprit and the weights among them, with gaps marked None."""
    if len(layers) <= MOST:
        return list(layers)
    wanted = [layer for layer in layers if layer.is_weight or layer == culprit]
    if len(wanted) > MOST:
        edge = MOST // 2
        keep = {layer.id for layer in [*wanted[:edge], *wanted[-edge:]]} | ({culprit.id} if culprit else set())
        wanted = [layer for layer in wanted if layer.id in keep]
    shown: list[Layer | None] = []
    position = {layer.id: index for index, layer in enumerate(layers)}
    previous = -1
    for layer in wanted:
        if position[layer.id] - previous > 3:
            shown.append(None)
        shown.append(layer)
        previous = position[layer.id]
    return shown


def _label(layer: Layer) -> str:
    own = layer.name if layer.name != layer.class_name else ""
    return f"{own} {layer.class_name}".strip()


def _bar(decades: float | None, low: float, high: float) -> str:
    if decades is None:
        return ""
    filled = (decades - low) / (high - low) * BAR
    whole = int(filled)
    return "█" * whole + (" ▏▎▍▌▋▊▉"[int((filled - whole) * 8)].strip() if whole < BAR else "")


def _gain(value: float | None) -> str:
    return "—" if value is None else f"{value:.3g}"


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _paint(text: str, tone: str, colour: bool) -> str:
    return f"\033[{COLOURS[tone]}m{text}\033[0m" if colour and tone else text
