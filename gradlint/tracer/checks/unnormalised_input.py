"""How large are the numbers that enter the first weights?

Initialisers assume unit variance; bytes have a root mean square of about 150, pixels in [0, 1] of about 0.6.
"""

from __future__ import annotations

import math

from gradlint.diagnostics import Verdict
from gradlint.tracer.answers import confirmed, inconclusive, refuted
from gradlint.tracer.evidence import Claim, Evidence
from gradlint.tracer.schema import Statistics

DEPENDS_ON = frozenset({"data"})
UNIT = "root mean square of what enters the first weights"
THRESHOLD = 10.0


def judge(evidence: Evidence, claim: Claim) -> Verdict:
    entering = [node for node in evidence.nodes.values() if node["data"] is not None and node["round"] == 0]
    if not entering:
        return inconclusive("no weight layer took its input straight from the data")
    size, node = max(((math.sqrt(_moment(item["data"])), item) for item in entering), key=lambda pair: pair[0])
    told = f"`{node['fqn'] or node['class_name']}` gets numbers of size {size:.3g} (root mean square)"
    return confirmed(told, size, UNIT, THRESHOLD) if size > THRESHOLD else refuted(told, size, UNIT, THRESHOLD)


def _moment(seen: Statistics | None) -> float:
    return 0.0 if seen is None else seen["second_moment"]
