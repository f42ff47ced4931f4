"""Stacks read from source: length, initialisers and predicted gradient, against closed forms worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gradlint.facts.link import Project
from gradlint.facts.model import TrainingFacts
from gradlint.facts.schedule import course, decades
from gradlint.facts.stacks import Diagnosis, Run, diagnoses, runs

HEAD = "import math\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n"
TOWER = """
class Net(nn.Module):
    def __init__(self, depth={depth}):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(depth)])
        {after}
    def forward(self, x):
        for layer in self.layers:
            {step}
        return x
"""


def facts_of(tmp_path: Path, text: str) -> TrainingFacts:
    path = tmp_path / "script.py"
    path.write_text(HEAD + text)

    def read(name: str) -> Any:
        return SimpleNamespace(path=name, text=Path(name).read_text())

    return Project(read).facts(read(str(path)))


def tower(tmp_path: Path, step: str, depth: int = 12, after: str = "pass") -> Run:
    (found,) = runs(facts_of(tmp_path, TOWER.format(depth=depth, step=step, after=after)))
    return found


def diagnosed(tmp_path: Path, step: str, depth: int = 12, after: str = "pass") -> list[Diagnosis]:
    return list(diagnoses(facts_of(tmp_path, TOWER.format(depth=depth, step=step, after=after))))


def test_relu_with_default_weights_loses_a_factor_of_root_six_a_layer(tmp_path: Path) -> None:
    # Var(W) fan = 1/3, and half of the units pass the gradient: 1/6 of its square a layer.
    found = tower(tmp_path, "x = F.relu(layer(x))")
    assert len(found.weights) == 12
    assert found.decades == pytest.approx(11 * math.log10(math.sqrt(1 / 6)), abs=1e-9)


def test_narrowing_does_not_count_as_vanishing(tmp_path: Path) -> None:
    text = "net = nn.Sequential(nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 16), nn.ReLU(), nn.Linear(16, 1))"
    for found in runs(facts_of(tmp_path, text)):
        assert found.decades == pytest.approx(2 * math.log10(math.sqrt(1 / 6)), abs=1e-9)


@pytest.mark.parametrize(
    "after",
    [
        "for p in self.parameters():\n            if p.dim() > 1: nn.init.kaiming_normal_(p, nonlinearity='relu')",
        "self.apply(lambda m: nn.init.kaiming_normal_(m.weight) if isinstance(m, nn.Linear) else None)",
        "[nn.init.normal_(m.weight, std=math.sqrt(2 / m.in_features)) for m in self.layers]",
        "for name, p in self.named_parameters():\n            if 'weight' in name: p.data.normal_(0, (2 / 64) ** 0.5)",
    ],
)
def test_he_weights_keep_the_gradient_however_they_are_set(tmp_path: Path, after: str) -> None:
    found = tower(tmp_path, "x = F.relu(layer(x))", after=after)
    assert found.decades == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("step", "after", "kind"),
    [
        ("x = F.relu(layer(x))", "pass", "default"),
        ("x = torch.sigmoid(layer(x))", "pass", "saturating"),
        ("x = F.relu(layer(x))", "[nn.init.xavier_uniform_(m.weight, gain=0.5) for m in self.layers]", "mismatch"),
        ("x = F.relu(layer(x))", "[nn.init.normal_(m.weight, std=0.01) for m in self.layers]", "scale"),
    ],
)
def test_one_stack_has_one_kind(tmp_path: Path, step: str, after: str, kind: str) -> None:
    assert [found.kind for found in diagnosed(tmp_path, step, after=after)] == [kind]


@pytest.mark.parametrize(
    "after",
    [
        "from elsewhere import init_all; init_all(self)",
        "self.apply(self.unseen)",
        "[m.weight.data.copy_(torch.load('w')) for m in self.layers]",
        "if torch.cuda.is_available(): [nn.init.kaiming_normal_(m.weight) for m in self.layers]",
    ],
)
def test_weights_that_something_unseen_may_set_are_not_called_default(tmp_path: Path, after: str) -> None:
    assert diagnosed(tmp_path, "x = F.relu(layer(x))", after=after) == []


@pytest.mark.parametrize("step", ["x = x + F.relu(layer(x))", "x = F.relu(F.layer_norm(layer(x), (64,)))"])
def test_residual_and_normalised_towers_stay_below_the_limit_in_thirty_layers(tmp_path: Path, step: str) -> None:
    found = tower(tmp_path, step, depth=30)
    assert found.decades is not None
    assert abs(found.decades) < 3.0


def test_a_product_of_tensors_ends_a_run(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, TOWER.format(depth=12, step="x = torch.sigmoid(layer(x)) * x", after="pass"))
    assert all(len(found.weights) < 2 for found in runs(facts))


@pytest.mark.parametrize(
    ("scheduler", "step", "expected"),
    [
        ("StepLR(opt, step_size=30, gamma=0.1)", 60, -2.0),
        ("MultiStepLR(opt, [10, 20, 30], 0.01)", 20, -4.0),
        ("ExponentialLR(opt, 0.5)", 10, -10 * math.log10(2)),
        ("LambdaLR(opt, lambda e: 0.1 ** (e // 5))", 25, -5.0),
    ],
)
def test_schedules_in_closed_form(tmp_path: Path, scheduler: str, step: int, expected: float) -> None:
    text = f"""
opt = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
sched = torch.optim.lr_scheduler.{scheduler}
for epoch in range(40):
    for x in loader:
        opt.step()
    sched.step()
"""
    facts = facts_of(tmp_path, text)
    (found,) = facts.schedulers
    assert decades(found, step) == pytest.approx(expected)
    length = course(facts, found)
    assert length is not None
    assert (length.total, length.unit) == (40, "epoch")
