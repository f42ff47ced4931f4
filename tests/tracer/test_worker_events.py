"""The order of a loop's events and what the recorder says about stale, cleared, clipped and unused gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from observed import events, line_of, observe, parameter

pytestmark = pytest.mark.torch

SETUP = """
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()

def batch():
    return torch.randn(6, 4), torch.randint(0, 2, (6,))

def loss_of():
    x, y = batch()
    return criterion(model(x), y)
"""


def stale(record: dict) -> list[bool]:
    return [event["stale"] for event in events(record, "optimizer_step")]


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        ("loss_of().backward(); optimizer.step()", [False, True, True]),
        ("optimizer.zero_grad(); loss_of().backward(); optimizer.step()", [False, False, False]),
        ("optimizer.zero_grad(set_to_none=False); loss_of().backward(); optimizer.step()", [False, False, False]),
        ("loss_of().backward(); optimizer.step(); model.zero_grad()", [False, False, False]),
        ("loss_of().backward(); optimizer.step(); [setattr(p, 'grad', None) for p in model.parameters()]", [False] * 3),
        ("loss_of().backward(); optimizer.step(); [p.grad.zero_() for p in model.parameters()]", [False] * 3),
        ("optimizer.zero_grad(); [loss_of().backward() for _ in range(4)]; optimizer.step()", [False] * 3),
        ("[loss_of().backward() for _ in range(2)]; optimizer.step()", [False, True, True]),
    ],
)
def test_stale_gradients(tmp_path: Path, loop: str, expected: list[bool]) -> None:
    source = SETUP + "for _ in range(3):\n    " + loop + "\n"
    assert stale(observe(tmp_path, source)) == expected


def test_only_one_of_two_optimizers_is_never_cleared(tmp_path: Path) -> None:
    source = """
a, b = nn.Linear(3, 3), nn.Linear(3, 1)
first = torch.optim.SGD(a.parameters(), lr=0.1)
second = torch.optim.SGD(b.parameters(), lr=0.1)
for _ in range(3):
    first.zero_grad()
    b(a(torch.randn(4, 3))).mean().backward()
    first.step()
    second.step()
"""
    steps = events(observe(tmp_path, source), "optimizer_step")
    assert [step["stale"] for step in steps if step["optimizer"] == 0] == [False, False, False]
    assert [step["stale"] for step in steps if step["optimizer"] == 1] == [False, True, True]
    assert set(steps[-1]["stale_parameters"]) == {"b:weight", "b:bias"}


def test_order_and_places(tmp_path: Path) -> None:
    source = (
        SETUP
        + """
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
model.train()
for _ in range(2):
    optimizer.zero_grad()  # cleared
    loss = loss_of()
    loss.backward()  # backward
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)  # clipped
    optimizer.step()  # stepped
    scheduler.step()
"""
    )
    record = observe(tmp_path, source)
    kinds = [event["kind"] for event in record["events"]]
    loop = ["zero_grad", "forward", "forward", "backward", "clip", "optimizer_step", "scheduler_step"]
    assert kinds == ["mode", *loop, *loop]
    assert [event["order"] for event in record["events"]] == list(range(len(kinds)))
    for kind, mark in (
        ("zero_grad", "cleared"),
        ("backward", "# backward"),
        ("clip", "clipped"),
        ("optimizer_step", "stepped"),
    ):
        assert {event["place"]["line"] for event in events(record, kind)} == {line_of(source, mark)}
    first = events(record, "backward")[0]
    assert [place["line"] for place in first["stack"]] == [line_of(source, "# backward")]
    clip = events(record, "clip")[0]
    assert clip["norm_before"] > 0.01
    assert clip["norm_after"] == pytest.approx(0.01, rel=1e-3)
    assert clip["since_step"] == 1
    assert events(record, "optimizer_step")[0]["grad_norm"] == pytest.approx(0.01, rel=1e-3)
    assert events(record, "scheduler_step")[0]["lr"] == [0.05]
    assert [event["round"] for event in events(record, "optimizer_step")] == [0, 1]


def test_clip_after_the_step_and_before_the_backward(tmp_path: Path) -> None:
    after = SETUP + "for _ in range(2):\n    optimizer.zero_grad()\n    loss_of().backward()\n    optimizer.step()\n"
    after += "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
    assert {clip["since_step"] for clip in events(observe(tmp_path, after), "clip")} == {0}
    before = SETUP + "for _ in range(2):\n    optimizer.zero_grad()\n    loss = loss_of()\n"
    before += "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n    loss.backward()\n    optimizer.step()\n"
    clips = events(observe(tmp_path, before), "clip")
    assert {clip["since_step"] for clip in clips} == {0}
    assert {clip["with_gradient"] for clip in clips} == {0}


def test_exhausted_generator(tmp_path: Path) -> None:
    source = """
model = nn.Linear(4, 2)
parameters = model.parameters()
optimizer = torch.optim.SGD(parameters, lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    model(torch.randn(3, 4)).mean().backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
"""
    clips = events(observe(tmp_path, source), "clip")
    assert [clip["parameters"] for clip in clips] == [0, 0]


def test_generator_given_to_clip_still_reaches_it(tmp_path: Path) -> None:
    source = SETUP + "optimizer.zero_grad()\nloss_of().backward()\n"
    source += "nn.utils.clip_grad_value_((p for p in model.parameters()), 1e-4)\noptimizer.step()\n"
    record = observe(tmp_path, source)
    (clip,) = events(record, "clip")
    assert (clip["how"], clip["parameters"], clip["with_gradient"]) == ("value", 4, 4)
    assert clip["norm_after"] < clip["norm_before"]


def test_cleared_between_backward_and_step(tmp_path: Path) -> None:
    source = SETUP + "for _ in range(2):\n    loss_of().backward()\n    optimizer.zero_grad()\n    optimizer.step()\n"
    record = observe(tmp_path, source)
    steps = events(record, "optimizer_step")
    assert [step["cleared_since_backward"] for step in steps] == [True, True]
    assert [step["grad_norm"] for step in steps] == [None, None]
    assert events(record, "zero_grad")[0]["discarded_norm"] > 0
    assert parameter(record, "0.weight")["steps"][0]["grad_norm"] is None


def test_step_before_backward(tmp_path: Path) -> None:
    source = (
        SETUP
        + "for _ in range(2):\n    optimizer.zero_grad()\n    loss = loss_of()\n"
        + "    optimizer.step()\n    loss.backward()\n"
    )
    steps = events(observe(tmp_path, source), "optimizer_step")
    assert [(step["backwards"], step["with_gradient"]) for step in steps] == [(0, 0), (1, 0)]
    assert steps[1]["cleared_since_backward"]


def test_parameters_by_reach_and_optimizer(tmp_path: Path) -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.used = nn.Linear(4, 4)
        self.cut = nn.Linear(4, 4)
        self.idle = nn.Linear(4, 4)
        self.frozen = nn.Linear(4, 4)
        self.extra = nn.Linear(4, 1)
        for p in self.frozen.parameters():
            p.requires_grad = False

    def forward(self, x):
        with torch.no_grad():
            x = self.cut(x)
        return self.extra(self.frozen(self.used(x)))

model = Net()
optimizer = torch.optim.SGD([*model.used.parameters(), *model.idle.parameters()], lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    model(torch.randn(3, 4)).mean().backward()
    optimizer.step()
"""
    record = observe(tmp_path, source)
    (optimizer,) = record["optimizers"]
    assert optimizer["used_but_not_held"] == ["extra.bias", "extra.weight"]
    assert optimizer["held_but_unused"] == ["idle.bias", "idle.weight"]
    cut = parameter(record, "cut.weight")
    assert (cut["reached"], cut["called_without_grad"]) == (False, True)
    assert not parameter(record, "idle.weight")["used"]
    assert parameter(record, "frozen.weight")["used"]
    assert parameter(record, "frozen.weight")["zero_by_invariance"] == "frozen"
    step = parameter(record, "used.weight")["steps"][0]
    assert step["version_moved"]
    assert step["update_norm"] == pytest.approx(0.1 * step["grad_norm"], rel=1e-4)
    assert parameter(record, "idle.weight")["steps"][0]["grad_norm"] is None
    assert not parameter(record, "idle.weight")["steps"][0]["version_moved"]
    assert record["roots"][0]["uncalled"] == ["idle"]


def test_initial_statistics_and_fans(tmp_path: Path) -> None:
    source = """
model = nn.Sequential(nn.Conv2d(3, 16, 5), nn.Flatten(), nn.Linear(16 * 16, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(2, 3, 8, 8)).mean().backward()
optimizer.step()
"""
    weight = parameter(observe(tmp_path, source), "0.weight")
    assert (weight["fan_in"], weight["fan_out"]) == (75, 400)
    assert weight["initial_std"] == pytest.approx((1 / (3 * 75)) ** 0.5, rel=0.05)


def test_closures_of_lbfgs(tmp_path: Path) -> None:
    source = """
model = nn.Linear(4, 1)
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=3)
x, y = torch.randn(16, 4), torch.randn(16, 1)

def closure():
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), y)
    loss.backward()
    return loss

for _ in range(2):
    optimizer.step(closure)
"""
    record = observe(tmp_path, source)
    closures = events(record, "closure")
    assert closures[0]["evaluation"] == 0
    assert closures[0]["value"] > closures[-1]["value"]
    assert all(closure["backwards"] == 1 for closure in closures)
    steps = events(record, "optimizer_step")
    assert all(step["closure"] and step["backwards"] >= 1 and not step["stale"] for step in steps)
    forgetful = observe(tmp_path, source.replace("    optimizer.zero_grad()\n", ""))
    assert [step["stale"] for step in events(forgetful, "optimizer_step")] == [False, True]


def test_scaler_steps_on_the_cpu(tmp_path: Path) -> None:
    source = (
        SETUP
        + """
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
for _ in range(2):
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = loss_of()
    scaler.scale(loss).backward()
    UNSCALE
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
"""
    )
    good = observe(tmp_path, source.replace("UNSCALE", "scaler.unscale_(optimizer)"))
    assert all(event["scaled"] for event in events(good, "backward"))
    assert not any(event["scaled"] for event in events(good, "clip"))
    assert [event["scale"] for event in events(good, "unscale")] == [1024.0, 1024.0]
    assert [event["skipped"] for event in events(good, "scaler_step")] == [False, False]
    assert [event["scale"] for event in events(good, "optimizer_step")] == [None, None]
    assert {node["autocast"] for node in good["nodes"] if node["class_name"] == "Linear"} == {"bfloat16"}
    bad = observe(tmp_path, source.replace("UNSCALE", "pass"))
    assert all(event["scaled"] for event in events(bad, "clip"))
    direct = observe(
        tmp_path,
        source.replace("UNSCALE", "pass").replace("scaler.step(optimizer)\n    scaler.update()", "optimizer.step()"),
    )
    assert [event["scale"] for event in events(direct, "optimizer_step")] == [1024.0, 1024.0]


def test_manual_updates_make_rounds_without_an_optimizer(tmp_path: Path) -> None:
    source = """
w = torch.randn(4, 1, requires_grad=True)
for _ in range(3):
    loss = (torch.randn(8, 4) @ w).square().mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        w.grad = None
"""
    record = observe(tmp_path, source)
    assert len(events(record, "backward")) == 3
    assert record["steps"] == 0
    assert record["optimizers"] == []
    (tensor,) = record["parameters"]
    assert tensor["reached"]
    assert not tensor["registered"]
    assert [event["how"] for event in events(record, "zero_grad")] == ["manual", "manual"]


def test_gradients_by_autograd_grad(tmp_path: Path) -> None:
    source = """
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    loss = model(torch.randn(5, 4)).square().mean()
    for p, g in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters()))):
        p.grad = g
    optimizer.step()
"""
    record = observe(tmp_path, source)
    assert [event["reached"] for event in events(record, "autograd_grad")] == [["bias", "weight"]] * 2
    assert not any(event["stale"] for event in events(record, "optimizer_step"))
    assert all(event["grad_norm"] > 0 for event in events(record, "optimizer_step"))


def test_wrapped_and_custom_optimizers_step_once(tmp_path: Path) -> None:
    source = (
        SETUP
        + """
class Plain(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad, alpha=-group["lr"])

class Lookahead(torch.optim.Optimizer):
    def __init__(self, inner):
        self.inner = inner
        super().__init__(inner.param_groups, {})

    def step(self, closure=None):
        self.inner.step()

    def zero_grad(self, *args, **kwargs):
        self.inner.zero_grad()

wrapped = Lookahead(Plain(model.parameters(), 0.1))
for _ in range(2):
    wrapped.zero_grad()
    loss_of().backward()
    wrapped.step()
"""
    )
    record = observe(tmp_path, source)
    steps = events(record, "optimizer_step")
    assert len(steps) == 2
    assert record["optimizers"][steps[0]["optimizer"]]["class_name"] == "Lookahead"
    assert not any(step["stale"] for step in steps)


def test_retained_and_accumulated_graphs_show_as_growth(tmp_path: Path) -> None:
    grown = (
        SETUP
        + """
total = 0
history = []
for _ in range(4):
    optimizer.zero_grad()
    loss = loss_of()
    loss.backward()
    optimizer.step()
    total = total + loss
    history.append(loss)
"""
    )
    growth = observe(tmp_path, grown)["growth"]
    assert growth["live_losses"] == 3
    assert {"total", "history"} <= set(growth["holders"])
    fine = observe(
        tmp_path, grown.replace("total + loss", "total + loss.item()").replace("append(loss)", "append(loss.item())")
    )
    assert fine["growth"]["live_losses"] == 0


def test_carried_hidden_state_grows_the_graph(tmp_path: Path) -> None:
    source = """
cell = nn.RNNCell(3, 4)
head = nn.Linear(4, 1)
optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
h = torch.zeros(2, 4)
for _ in range(4):
    optimizer.zero_grad()
    h = cell(torch.randn(2, 3), h)
    head(h).sum().backward(retain_graph=True)
    optimizer.step()
    DETACH
"""
    carried = observe(tmp_path, source.replace("DETACH", "pass"))["growth"]["graph_nodes"]
    assert carried == sorted(carried)
    assert carried[-1] > 2 * carried[0]
    cut = observe(tmp_path, source.replace("DETACH", "h = h.detach()"))["growth"]["graph_nodes"]
    assert len(set(cut)) == 1


def test_mode_events_and_mode_dependent_layers(tmp_path: Path) -> None:
    source = """
model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    model(torch.randn(8, 4)).mean().backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        model(torch.randn(8, 4))
"""
    record = observe(tmp_path, source)
    forwards = events(record, "forward")
    assert [(f["training"], f["grad_enabled"]) for f in forwards] == [
        (True, True),
        (False, False),
        (False, True),
        (False, False),
    ]
    assert forwards[2]["modes"] == {"1": False, "2": False}
    assert [event["training"] for event in events(record, "mode")] == [False, False]


def test_everything_is_put_back(tmp_path: Path) -> None:
    before = (
        torch.nn.Module.__call__,
        torch.nn.Module.__init__,
        torch.autograd.backward,
        torch.autograd.grad,
        torch.optim.Optimizer.zero_grad,
        torch.nn.utils.clip_grad_norm_,
        torch.optim.lr_scheduler.StepLR.step,
        torch.nn.Module.train,
        torch.utils.checkpoint.checkpoint,
    )
    observe(tmp_path, SETUP + "optimizer.zero_grad()\nloss_of().backward()\noptimizer.step()\n")
    after = (
        torch.nn.Module.__call__,
        torch.nn.Module.__init__,
        torch.autograd.backward,
        torch.autograd.grad,
        torch.optim.Optimizer.zero_grad,
        torch.nn.utils.clip_grad_norm_,
        torch.optim.lr_scheduler.StepLR.step,
        torch.nn.Module.train,
        torch.utils.checkpoint.checkpoint,
    )
    assert before == after
    assert "step" not in vars(torch.optim.lr_scheduler.LambdaLR)
    assert torch.overrides._get_current_function_mode() is None
