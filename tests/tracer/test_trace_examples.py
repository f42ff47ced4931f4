"""Examples of rules that only the tracer serves: bad ones are reported where they say, good ones are silent."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tracing import trace

from gradlint.catalog import Catalog, Example
from gradlint.examples import marked
from gradlint.tracer.verdicts import awaited, observe, trace_only_rules

CATALOG = Catalog()
EXAMPLES = [(name, example) for name in sorted(trace_only_rules()) for example in CATALOG.examples(name)]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=[f"{name}-{item.title}" for name, item in EXAMPLES])
def test_example(rule: str, example: Example, tmp_path: Path) -> None:
    ((name, text),) = example.files.items()
    script = tmp_path / name
    script.write_text(text, "utf-8")
    measure = ("curvature", "same-batch") if "learning-rate" in rule else ()
    record = trace(script, measure=measure, awaited=tuple(sorted(awaited([rule]))))
    assert record["error"] is None
    found = [item for item in observe(record) if example.kind == "good" or item.finding.rule == rule]
    where = Counter((name, item.finding.range.line, CATALOG.rule(item.finding.rule).code) for item in found)
    assert where == marked(example.files), [(item.finding.range.line, item.verdict.reason) for item in found]


def test_every_rule_has_examples() -> None:
    for name in trace_only_rules():
        kinds = Counter(example.kind for example in CATALOG.examples(name))
        assert (kinds["bad"] >= 4, kinds["good"] >= 6) == (True, True), name
