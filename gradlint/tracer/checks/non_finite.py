"""The first module or operation that made a NaN or an infinity."""

from __future__ import annotations

from collections.abc import Iterator

from gradlint.tracer.answers import confirmed
from gradlint.tracer.evidence import Evidence
from gradlint.tracer.observation import Observation, observation

UNIT = "values that are not finite"


def find(evidence: Evidence) -> Iterator[Observation]:
    skipped = any(event["skipped"] for event in evidence.scaler_steps)
    made = [item for item in evidence.record["nonfinite"] if item["input_finite"]] or evidence.record["nonfinite"]
    for item in made[:1]:
        node = evidence.nodes.get(item["node"])
        if item["direction"] == "backward" and skipped:
            continue
        name = item["node"] if node is None else node["fqn"] or node["class_name"]
        place = item["place"] or (None if node is None else node["called"] or node["constructed"])
        what = "output" if item["direction"] == "forward" else "gradient"
        source = "though its own input was finite" if item["input_finite"] else "first seen here"
        told = f"the {what} of `{name}` holds {item['count']} NaN or infinite values, {source}"
        yield from observation(evidence, "non-finite", place, confirmed(told, item["count"], UNIT, 0.0), layer=name)
