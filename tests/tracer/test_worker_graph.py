"""Nodes, edges and the statistics on them, against what autograd itself says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from observed import assert_acyclic, edges, line_of, node, observe, parameter

pytestmark = pytest.mark.torch

RESIDUAL = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(10, 32)  # built here
        self.b = nn.Linear(32, 32)
        self.c = nn.Linear(32, 3)

    def forward(self, x):
        x = F.relu(self.a(x))
        x = x + torch.tanh(self.b(x))  # joined here
        return self.c(x)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
for _ in range(2):
    optimizer.zero_grad()
    loss = criterion(model(torch.randn(16, 10)), torch.randint(0, 3, (16,)))
    loss.backward()
    optimizer.step()
"""


def test_true_edges_through_functional_operations(tmp_path: Path) -> None:
    record = observe(tmp_path, RESIDUAL)
    assert edges(record) == {
        ("a#0", "Relu#0"),
        ("Relu#0", "b#0"),
        ("Relu#0", "Add#0"),
        ("b#0", "Tanh#0"),
        ("Tanh#0", "Add#0"),
        ("Add#0", "c#0"),
        ("c#0", "criterion#0"),
    }
    assert node(record, "a#0")["constructed"]["line"] == line_of(RESIDUAL, "# built here")
    assert node(record, "Add#0")["called"]["line"] == line_of(RESIDUAL, "# joined here")
    assert node(record, "Add#0")["parent"] == "Net#0"
    assert not node(record, "Net#0")["is_leaf"]
    assert node(record, "a#0")["settings"]["in_features"] == 10
    assert {n["id"] for n in record["nodes"] if n["round"] == 1} == {
        n["id"] + "@1" for n in record["nodes"] if n["round"] == 0
    }


def test_gradient_statistics_are_those_of_autograd(tmp_path: Path) -> None:
    source = """
model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4), nn.ReLU(inplace=True), nn.Linear(4, 1)).double()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(32, 6, dtype=torch.float64)
loss = model(x).square().mean()
loss.backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    torch.manual_seed(0)
    layers = [torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)]
    model = torch.nn.Sequential(*layers).double()
    value = torch.randn(32, 6, dtype=torch.float64)
    outputs = []
    for layer in model:
        value = layer(value)
        value.retain_grad()
        outputs.append(value)
    value.square().mean().backward()
    for index, output in enumerate(outputs):
        assert output.grad is not None
        measured = node(record, f"{index}#0")
        assert measured["output_gradient"]["second_moment"] == pytest.approx(
            float(output.grad.square().mean()), rel=1e-9
        )
        assert measured["activation"]["second_moment"] == pytest.approx(
            float(output.detach().square().mean()), rel=1e-9
        )
        if index:
            before = outputs[index - 1].grad
            assert before is not None
            gain = float(before.square().mean() / output.grad.square().mean())
            assert measured["local_gain"] == pytest.approx(gain, rel=1e-9)
    weight = layers[0].weight
    assert weight.grad is not None
    assert parameter(record, "0.weight")["steps"][0]["grad_norm"] == pytest.approx(float(weight.grad.norm()), rel=1e-9)


def test_input_gradient_of_a_branch_is_its_own_share(tmp_path: Path) -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.left = nn.Linear(4, 4)
        self.right = nn.Linear(4, 4)

    def forward(self, x):
        h = self.stem(x)
        return self.left(h) + 100 * self.right(h)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(8, 4)).sum().backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    torch.manual_seed(0)
    left, right = [torch.nn.Linear(4, 4) for _ in range(3)][1:]
    assert node(record, "left#0")["input_gradient"]["second_moment"] == pytest.approx(
        float(left.weight.detach().sum(0).square().mean()), rel=1e-5
    )
    assert node(record, "right#0")["input_gradient"]["second_moment"] == pytest.approx(
        float((100 * right.weight.detach().sum(0)).square().mean()), rel=1e-5
    )


def test_tiny_gradients_do_not_underflow(tmp_path: Path) -> None:
    source = """
layers = []
for _ in range(30):
    layers += [nn.Linear(64, 64), nn.Sigmoid()]
model = nn.Sequential(*layers, nn.Linear(64, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss = model(torch.randn(64, 64)).mean()
loss.backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    first = parameter(record, "0.weight")["steps"][0]["grad_norm"]
    assert 0.0 < first < 1e-19
    delta = node(record, "0#0")["output_gradient"]["second_moment"]
    assert 0.0 < delta < 1e-40


@pytest.mark.parametrize(
    ("activation", "gain"),
    [("Sigmoid", 0.1402), ("Tanh", 0.556), ("ReLU", 0.4080), ("GELU", 0.296), ("SiLU", 0.296)],
)
def test_gain_a_layer_of_default_stacks(tmp_path: Path, activation: str, gain: float) -> None:
    """Mean-field gain of PyTorch's default Linear init at width 256, depth 10 (Poole 2016, Schoenholz 2017)."""
    source = f"""
torch.set_default_dtype(torch.float64)
layers = []
for _ in range(10):
    layers += [nn.Linear(256, 256), nn.{activation}()]
model = nn.Sequential(*layers, nn.Linear(256, 1))
torch.set_default_dtype(torch.float32)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(128, 256, dtype=torch.float64)).mean().backward()
optimizer.step()
"""
    record = observe(tmp_path, source, sample_limit=1 << 20)
    first = node(record, "0#0")["output_gradient"]["second_moment"]
    last = node(record, "18#0")["output_gradient"]["second_moment"]
    measured = (first / last) ** (1 / 18)
    # ln of the squared ratio has variance of about 5·Σ1/n (finite width): two standard deviations, nine layers.
    tolerance = 2 * math.sqrt(5 * 9 / 256) / 18
    assert abs(math.log(measured / gain)) < tolerance + 0.03


def test_shared_and_reused_modules(tmp_path: Path) -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 5)
        self.twin = self.layer

    def forward(self, x):
        for _ in range(3):
            x = self.layer(x).relu()
        return self.twin(x)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(4, 5)).sum().backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    assert [n["id"] for n in record["nodes"] if n["class_name"] == "Linear"] == [f"layer#{i}" for i in range(4)]
    weight = parameter(record, "layer.weight")
    assert weight["aliases"] == ["twin.weight"]
    assert sorted(weight["nodes"]) == [f"layer#{i}" for i in range(4)]
    assert_acyclic(record)


def test_outputs_in_dictionaries_and_dataclasses(tmp_path: Path) -> None:
    source = """
from dataclasses import dataclass

@dataclass
class Output:
    hidden: torch.Tensor
    extra: dict

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, batch):
        h = self.layer(batch["x"])
        return Output(h, {"twice": h * 2})

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.head = nn.Linear(4, 1)

    def forward(self, batch):
        out = self.encoder(batch)
        return {"logits": self.head(out.hidden + out.extra["twice"])}

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model({"x": torch.randn(3, 4)})["logits"].mean().backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    found = edges(record)
    assert ("encoder.layer#0", "Mul#0") in found
    assert ("Mul#0", "Add#0") in found
    assert ("Add#0", "head#0") in found
    assert node(record, "encoder#0")["outputs"][0]["shape"] == [3, 4]


def test_whole_network_in_one_functional_forward(tmp_path: Path) -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(6, 8) * 0.1)
        self.w2 = nn.Parameter(torch.randn(8, 2) * 0.1)

    def forward(self, x):
        return torch.sigmoid(x @ self.w1) @ self.w2

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(16, 6)).square().mean().backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    assert ("Mm#0", "Sigmoid#0") in edges(record)
    assert node(record, "Sigmoid#0")["activation_kind"] == "sigmoid"
    assert node(record, "Sigmoid#0")["saturated_share"] == 0.0
    assert parameter(record, "w1")["nodes"] == ["Mm#0"]


def test_packed_sequences_and_time_profile(tmp_path: Path) -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.rnn = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(x), lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.rnn(packed)
        return self.head(h[-1])

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
out = model(torch.randint(0, 20, (4, 12)), torch.tensor([12, 9, 7, 12]))
F.cross_entropy(out, torch.tensor([0, 1, 0, 1])).backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    (profile,) = record["recurrent"]
    assert profile["packed"]
    assert profile["time_steps"] == len(profile["input_gradient"]) == 12
    assert profile["decades_per_step"] < 0
    assert len(profile["sigma_max"]) == 4
    found = edges(record)
    assert any(target == "rnn#0" for _, target in found)
    assert ("rnn#0", "head#0") in found or any(s == "rnn#0" for s, _ in found)


@pytest.mark.parametrize(
    ("build", "low", "high"),
    [
        ("rnn = nn.RNN(16, 64)", -0.35, -0.18),
        ("rnn = nn.LSTM(16, 64)", -0.27, -0.13),
        ("rnn = nn.RNN(16, 64)\nnn.init.orthogonal_(rnn.weight_hh_l0)", -0.09, 0.0),
    ],
)
def test_decades_per_time_step(tmp_path: Path, build: str, low: float, high: float) -> None:
    """Default tanh RNN about .54 a step, LSTM ½ + ¼/√3 = .644, orthogonal near 1."""
    source = f"""
{build}
head = nn.Linear(64, 1)
optimizer = torch.optim.SGD([*rnn.parameters(), *head.parameters()], lr=0.1)
x = torch.randn(40, 16, 16) * 0.3
out, _ = rnn(x)
head(out[-1]).mean().backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    (profile,) = record["recurrent"]
    assert low < profile["decades_per_step"] < high
    assert profile["loss_positions"] == "last"


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing(tmp_path: Path, reentrant: bool) -> None:
    source = f"""
from torch.utils.checkpoint import checkpoint

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.block = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        h = self.stem(x)
        return self.head(checkpoint(self.block, h, use_reentrant={reentrant}))

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    model(torch.randn(5, 4)).sum().backward()
    optimizer.step()
"""
    record = observe(tmp_path, source)
    assert len([e for e in record["events"] if e["kind"] == "backward"]) == 2
    assert [n["id"] for n in record["nodes"] if n["fqn"] == "block.0" and n["round"] == 0] == ["block.0#0"]
    inner = parameter(record, "block.0.weight")
    assert inner["reached"]
    assert not inner["called_without_grad"]
    assert node(record, "block.0#0")["recomputed"]
    assert "block.0.weight" in record["events"][2]["reached"] or "block.0.weight" in next(
        e["reached"] for e in record["events"] if e["kind"] == "backward"
    )
    assert_acyclic(record)


def test_frozen_backbone_is_joined_by_identity(tmp_path: Path) -> None:
    source = """
backbone = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
head = nn.Linear(8, 2)
optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
with torch.no_grad():
    features = backbone(torch.randn(6, 4))
F.cross_entropy(head(features), torch.zeros(6, dtype=torch.long)).backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    (joint,) = [e for e in record["edges"] if e["target"] == "head#0"]
    assert joint["source"] == "backbone:1#0"
    assert not joint["differentiable"]
    weight = parameter(record, "backbone:0.weight")
    assert weight["called_without_grad"]
    assert not weight["reached"]


def test_generator_graph_built_before_the_discriminators_step(tmp_path: Path) -> None:
    source = """
generator = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
critic = nn.Sequential(nn.Linear(6, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3)
opt_d = torch.optim.Adam(critic.parameters(), lr=1e-3)
bce = nn.BCEWithLogitsLoss()
for _ in range(2):
    fake = generator(torch.randn(16, 4))
    opt_d.zero_grad()
    real_loss = bce(critic(torch.randn(16, 6)), torch.ones(16, 1))
    fake_loss = bce(critic(fake.detach()), torch.zeros(16, 1))
    (real_loss + fake_loss).backward()
    opt_d.step()
    opt_g.zero_grad()
    bce(critic(fake), torch.ones(16, 1)).backward()
    opt_g.step()
"""
    record = observe(tmp_path, source)
    first = {n["id"]: n for n in record["nodes"] if n["round"] == 0}
    assert first["generator:0#0"]["output_gradient"]["second_moment"] > 0
    assert {"critic:0#0", "critic:0#1", "critic:0#2"} <= set(first)
    assert ("generator:2#0", "critic:0#2") in edges(record)
    steps = [e for e in record["events"] if e["kind"] == "optimizer_step"]
    assert [(s["optimizer"], s["round"]) for s in steps] == [(1, 0), (0, 0), (1, 1), (0, 1)]
    assert not any(s["stale"] for s in steps)
    assert_acyclic(record)


def test_forward_in_other_threads(tmp_path: Path) -> None:
    source = """
import threading

model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
outputs = [None, None]

def work(index, x):
    outputs[index] = model(x)

threads = [threading.Thread(target=work, args=(i, torch.randn(3, 4))) for i in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
torch.cat(outputs).square().mean().backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    found = edges(record)
    assert sum(1 for s, t in found if s.startswith("0#") and t.startswith("1#")) == 2
    assert sum(1 for s, t in found if s.startswith("2#") and t == "Cat#0") == 2
    assert_acyclic(record)


def test_unregistered_modules_and_tensors_are_named_by_attribute(tmp_path: Path) -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(4, 4) for _ in range(2)]
        self.scale = torch.ones(4, requires_grad=True)
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x * self.scale)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(3, 4)).mean().backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    hidden = parameter(record, "layers[0].weight")
    assert hidden["reached"]
    assert not hidden["optimizers"]
    assert not parameter(record, "scale")["registered"]
    assert {"layers[0].weight", "layers[1].bias", "scale"} <= set(record["optimizers"][0]["used_but_not_held"])


def test_bias_before_norm_is_zero_by_invariance(tmp_path: Path) -> None:
    source = """
model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
F.cross_entropy(model(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 0, 1])).backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    bias = parameter(record, "0.bias")
    assert bias["zero_by_invariance"] == "bias before BatchNorm2d, which subtracts it"
    assert bias["steps"][0]["grad_norm"] < 1e-5 * parameter(record, "0.weight")["steps"][0]["grad_norm"]
    assert parameter(record, "0.weight")["zero_by_invariance"] is None
    assert parameter(record, "4.bias")["zero_by_invariance"] is None


def test_identical_rows_of_a_constant_initialisation(tmp_path: Path) -> None:
    source = """
model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
for layer in (model[0], model[2]):
    nn.init.constant_(layer.weight, 0.1)
    nn.init.zeros_(layer.bias)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
F.cross_entropy(model(torch.rand(16, 6)), torch.randint(0, 2, (16,))).backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    weight = parameter(record, "0.weight")
    assert weight["identical_weight_rows"]
    assert node(record, "0#0")["effective_rank"] == pytest.approx(1.0, abs=1e-3)
    torch.manual_seed(0)
    fresh = observe(tmp_path, source.replace("nn.init.constant_(layer.weight, 0.1)", "pass"))
    assert not parameter(fresh, "0.weight")["identical_weight_rows"]
    assert node(fresh, "0#0")["effective_rank"] > 3


def test_dead_and_saturated_units(tmp_path: Path) -> None:
    source = """
model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 1))
with torch.no_grad():
    model[0].bias[:4] = -100.0
    model[2].bias[:2] = 50.0
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(64, 6)).mean().backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    assert (node(record, "1#0")["dead_units"], node(record, "1#0")["units"]) == (4, 8)
    assert node(record, "3#0")["dead_units"] == 2
    assert node(record, "3#0")["saturated_share"] == pytest.approx(0.25)


def test_first_producer_of_a_nan(tmp_path: Path) -> None:
    source = """
class Bad(nn.Module):
    def forward(self, x):
        return torch.log(x)  # here

model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), Bad(), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(8, 4)).mean().backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    producers = [n["node"] for n in record["nonfinite"] if n["direction"] == "forward" and n["input_finite"]]
    assert producers == ["2#0"]
    (backward,) = [e for e in record["events"] if e["kind"] == "backward"]
    assert backward["nonfinite_producer"] == "2#0"


def test_transformer_layers_and_attention(tmp_path: Path) -> None:
    source = """
layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
model = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(32, 5))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
out = model(torch.randn(2, 7, 32))
F.cross_entropy(out.view(-1, 5), torch.randint(0, 5, (14,))).backward()
optimizer.step()
"""
    record = observe(tmp_path, source)
    attention = node(record, "0.layers.0.self_attn#0")
    assert attention["is_leaf"]
    assert attention["output_gradient"]["second_moment"] > 0
    assert attention["constructed"]["line"] == line_of(source, "nn.Sequential(nn.TransformerEncoder")
    assert not [n for n in record["nodes"] if n["kind"] == "function" and n["class_name"] in ("View", "T", "Transpose")]
    assert_acyclic(record)


def test_gradient_on_the_logits_of_many_classes_is_measured_whole(tmp_path: Path) -> None:
    source = """
head = nn.Linear(16, 20000)
x = torch.randn(64, 16)
F.cross_entropy(head(x), torch.randint(0, 20000, (64,))).backward()
"""
    gradient = node(observe(tmp_path, source), "Linear#0")["output_gradient"]
    # Softmax minus one-hot, over the batch: one element of about -1/64 in each of 64 rows, the others next to nothing.
    assert gradient["second_moment"] * gradient["count"] == pytest.approx(64 * (1 / 64) ** 2, rel=0.01)


def test_an_encoder_of_which_only_the_state_is_used_has_the_gradient_of_its_state(tmp_path: Path) -> None:
    record = observe(
        tmp_path,
        """
encoder, head = nn.LSTM(3, 5), nn.Linear(5, 1)
optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.0)
packed = nn.utils.rnn.pack_sequence([torch.randn(7, 3), torch.randn(4, 3)])
_, (state, _) = encoder(packed)
head(state[-1]).sum().backward()
optimizer.step()
""",
    )
    # The loss is Σ w·h, so that its gradient with respect to every h is w.
    weight = parameter(record, "head:weight")
    [found] = [node for node in record["nodes"] if node["class_name"] == "LSTM"]
    assert found["output_gradient"]["count"] == 2 * 5
    assert found["output_gradient"]["second_moment"] == pytest.approx(weight["initial_norm"] ** 2 / 5, rel=1e-5)
