"""What feeds a loss, custom autograd functions, curvature and the loss on the same batch."""

from __future__ import annotations

import contextlib
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from observed import HEAD, line_of, node, observe

from gradlint.tracer.worker.curvature import Curvature
from gradlint.tracer.worker.gradcheck import Functions
from gradlint.tracer.worker.observe import observing, record_of
from gradlint.tracer.worker.patches import Patches
from gradlint.tracer.worker.replay import SameBatch

pytestmark = pytest.mark.torch


def loss_of(folder: Path, lines: str) -> dict[str, Any]:
    source = f"""
model = nn.Linear(6, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, classes = torch.randn(16, 6), torch.randint(0, 4, (16,))
z = model(x)
{lines}
loss.backward()
optimizer.step()
"""
    (found,) = observe(folder, source)["losses"]
    return found


def test_softmax_before_cross_entropy(tmp_path: Path) -> None:
    loss = loss_of(tmp_path, "loss = nn.CrossEntropyLoss()(torch.softmax(z, dim=-1), classes)")
    assert loss["fed_by"][0] == "Softmax"
    assert loss["fed_by_dim"] == loss["class_dim"] == 1
    assert loss["input_range"]["rows_sum_to_one"] == 1.0
    assert loss["input_range"]["in_unit_interval"]
    assert loss["class_name"] == "CrossEntropyLoss"
    assert 0.05 < loss["gradient_ratio"] < 0.6
    assert loss["target_is_class_index"]
    assert loss["target_max"] <= 3


def test_log_probabilities_are_seen_by_value(tmp_path: Path) -> None:
    loss = loss_of(tmp_path, "loss = F.nll_loss(F.log_softmax(z, 1), classes)")
    assert loss["name"] == "nll_loss"
    assert loss["fed_by"][0] == "LogSoftmax"
    assert loss["input_range"]["rows_logsumexp_zero"] == 1.0
    assert loss["input_range"]["all_nonpositive"]
    plain = loss_of(tmp_path, "loss = F.nll_loss(z, classes)")
    assert plain["input_range"]["rows_logsumexp_zero"] == 0.0
    assert plain["fed_by"][0] == "Addmm"


def test_softmax_over_the_batch_through_views(tmp_path: Path) -> None:
    loss = loss_of(tmp_path, "p = z.softmax(0).view(16, 4).contiguous()\nloss = F.nll_loss(p.log(), classes)")
    assert loss["fed_by"][:2] == ["Log", "Softmax"]
    assert loss["fed_by_dim"] == 0


@pytest.mark.parametrize(
    ("call", "name", "feed", "ratio"),
    [
        (
            "F.binary_cross_entropy_with_logits(torch.sigmoid(z), t)",
            "binary_cross_entropy_with_logits",
            "Sigmoid",
            True,
        ),
        ("nn.BCEWithLogitsLoss()(z, t)", "binary_cross_entropy_with_logits", "Addmm", False),
        ("nn.BCELoss()(z.sigmoid(), t)", "binary_cross_entropy", "Sigmoid", False),
        ("F.mse_loss(torch.tanh(z), 5 * t)", "mse_loss", "Tanh", False),
    ],
)
def test_what_feeds_binary_and_regression_losses(tmp_path: Path, call: str, name: str, feed: str, ratio: bool) -> None:
    loss = loss_of(tmp_path, f"t = (torch.rand(16, 4) > 0.5).float()\nloss = {call}")
    assert (loss["name"], loss["fed_by"][0]) == (name, feed)
    assert (loss["gradient_ratio"] is not None) == ratio


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_broadcast_and_unreduced(tmp_path: Path) -> None:
    loss = loss_of(tmp_path, "loss = F.mse_loss(z[:, :1], torch.randn(16))")
    assert loss["broadcast"]
    assert (loss["input"]["shape"], loss["target"]["shape"]) == ([16, 1], [16])
    summed = loss_of(tmp_path, "loss = F.cross_entropy(z, classes, reduction='sum')")
    assert (summed["reduction"], summed["broadcast"]) == ("sum", False)


def test_hand_written_loss(tmp_path: Path) -> None:
    loss = loss_of(tmp_path, "loss = -(torch.log_softmax(z, 1)[torch.arange(16), classes]).mean()")
    assert loss["name"] == "custom"
    assert "Index" in loss["fed_by"]


def test_target_that_carries_a_graph(tmp_path: Path) -> None:
    loss = loss_of(tmp_path, "loss = F.mse_loss(z, 0.9 * model(x + 1))")
    assert loss["target_requires_grad"]


def test_loss_scale_changes_no_shape_of_the_record(tmp_path: Path) -> None:
    source = """
model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
(SCALE * F.cross_entropy(model(torch.randn(32, 8)), torch.randint(0, 2, (32,)))).backward()
optimizer.step()
"""
    records = [observe(tmp_path, source.replace("SCALE", scale)) for scale in ("1e-6", "1.0", "1e6")]
    gains = [[n["local_gain"] for n in r["nodes"] if n["local_gain"] and n["kind"] == "module"] for r in records]
    assert gains[0] == pytest.approx(gains[1], rel=1e-4)
    assert gains[2] == pytest.approx(gains[1], rel=1e-4)


@contextlib.contextmanager
def recording(folder: Path, source: str) -> Iterator[tuple[Any, Any]]:
    script = folder / "script.py"
    script.write_text(HEAD + source)
    with observing(str(folder)) as recorder:
        yield recorder, lambda: runpy.run_path(str(script), run_name="__main__")


def test_custom_functions_against_central_differences(tmp_path: Path) -> None:
    source = """
class Good(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x ** 2 * g

class Bad(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx, g):  # wrong
        x, w = ctx.saved_tensors
        return g @ w.t(), 0.5 * x.t() @ g

class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, g):
        return g

layer = nn.Linear(5, 5)
w = nn.Parameter(torch.randn(5, 3))
h = Through.apply(Bad.apply(Good.apply(layer(torch.randn(64, 5))), w))
h.sum().backward()
"""
    patches = Patches()
    with recording(tmp_path, source) as (recorder, run):
        functions = Functions(recorder)
        functions.install(patches)
        try:
            run()
        finally:
            patches.undo()
        found = {entry["class_name"]: entry for entry in functions.report()}
    assert found["Good"]["agrees"] is True
    assert found["Bad"]["agrees"] is False
    assert found["Bad"]["max_error"] > 1e-2
    assert found["Bad"]["defined"]["line"] in (line_of(source, "# wrong"), line_of(source, "# wrong") - 1)
    assert found["Through"]["agrees"] is None
    assert "straight-through" in found["Through"]["message"]


@pytest.mark.parametrize("lowest", [1.0, -60.0])
def test_curvature_of_a_known_quadratic(tmp_path: Path, lowest: float) -> None:
    """Of a saddle, the steepest curvature upwards: the one below zero, though larger, makes no step diverge."""
    source = f"""
w = nn.Parameter(torch.ones(3, dtype=torch.float64))
scales = torch.tensor([{lowest}, 4.0, 25.0], dtype=torch.float64)
optimizer = torch.optim.SGD([w], lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    loss = 0.5 * (scales * w ** 2).sum()
    loss.backward()
    optimizer.step()
"""
    mkldnn, cudnn = torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled
    with recording(tmp_path, source) as (recorder, run):
        curvature = Curvature(recorder)
        run()
    assert (mkldnn, cudnn) == (torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled)
    (entry,) = curvature.report()
    assert entry["lambda_max"] == pytest.approx(25.0, rel=1e-3)
    assert entry["lr_lambda_max"] == pytest.approx(2.5, rel=1e-3)


def test_curvature_leaves_local_gains_alone(tmp_path: Path) -> None:
    source = """
class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(32, 32), nn.Linear(32, 32)

    def forward(self, x):
        return x + self.outer(torch.tanh(self.inner(x)))

model = nn.Sequential(nn.Linear(8, 32), Residual(), nn.Linear(32, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(64, 8)).square().mean().backward()
optimizer.step()
"""
    with recording(tmp_path, source) as (recorder, run):
        run()
        plain = record_of(recorder)
    with recording(tmp_path, source) as (recorder, run):
        curvature = Curvature(recorder)
        run()
        beside = record_of(recorder)
    assert curvature.report()[0]["iterations"] > 1
    assert node(beside, "1.inner#0")["local_gain"] == pytest.approx(node(plain, "1.inner#0")["local_gain"], rel=1e-6)


@pytest.mark.parametrize(("rate", "falls"), [(0.05, True), (50.0, False)])
def test_loss_on_the_same_batch(tmp_path: Path, rate: float, falls: bool) -> None:
    source = f"""
model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 3))
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
x, y = torch.randn(32, 6), torch.randint(0, 3, (32,))
for _ in range(3):
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
state = torch.get_rng_state()
running = model[1].running_mean.clone()
"""
    patches = Patches()
    with recording(tmp_path, source) as (recorder, run):
        replay = SameBatch(recorder)
        replay.install(patches)
        try:
            torch.manual_seed(0)
            kept = run()
        finally:
            patches.undo()
        (entry,) = replay.report()
        record = record_of(recorder)
    assert entry["before"] == pytest.approx(next(e["value"] for e in record["events"] if e["kind"] == "backward"))
    assert len(entry["after"]) == 3
    assert (entry["after"][0] < entry["before"]) == falls
    plain = runpy.run_path(str(tmp_path / "script.py"))
    assert torch.equal(kept["state"], plain["state"])
    assert torch.equal(kept["running"], plain["running"])
