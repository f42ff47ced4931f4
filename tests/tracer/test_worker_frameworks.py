"""Loops that belong to a framework: the stop gets out of them, and the step inside is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from tracing import python

from gradlint.tracer.run import TraceOptions, trace

pytestmark = pytest.mark.torch

LIGHTNING = """
import torch
from torch import nn
import lightning as L


class Lit(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

    def training_step(self, batch, index):
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 1e-3)


data = torch.utils.data.TensorDataset(torch.randn(640, 4), torch.randint(0, 2, (640,)))
trainer = L.Trainer(max_epochs=3, gradient_clip_val=1.0, enable_progress_bar=False)
trainer.fit(Lit(), torch.utils.data.DataLoader(data, 16, num_workers=2))
"""
TRANSFORMERS = """
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

model = GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=64, n_head=2, vocab_size=100, n_positions=32))


class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 400

    def __getitem__(self, index):
        tokens = torch.randint(0, 100, (16,))
        return {"input_ids": tokens, "labels": tokens}


settings = TrainingArguments(
    "out", per_device_train_batch_size=4, num_train_epochs=5, report_to=[], gradient_accumulation_steps=2
)
Trainer(model, settings, train_dataset=Data()).train()
"""
ACCELERATE = """
import torch
from torch import nn
from accelerate import Accelerator

accelerator = Accelerator()
model = nn.Linear(4, 2)
optimizer = torch.optim.AdamW(model.parameters())
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 4)), 8)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
model, optimizer, loader, scheduler = accelerator.prepare(model, optimizer, loader, scheduler)
while True:
    for (x,) in loader:
        optimizer.zero_grad()
        accelerator.backward(model(x).square().mean())
        accelerator.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
"""


@pytest.mark.parametrize(
    ("package", "source", "kinds"),
    [
        ("lightning", LIGHTNING, {"forward", "backward", "clip", "zero_grad", "optimizer_step", "closure"}),
        (
            "transformers",
            TRANSFORMERS,
            {"forward", "backward", "clip", "zero_grad", "optimizer_step", "scheduler_step"},
        ),
        ("accelerate", ACCELERATE, {"forward", "backward", "clip", "zero_grad", "optimizer_step", "scheduler_step"}),
    ],
)
def test_a_framework_stops_after_its_steps(tmp_path: Path, package: str, source: str, kinds: set[str]) -> None:
    pytest.importorskip(package)
    script = tmp_path / "train.py"
    script.write_text(source)
    record = trace(script, [], TraceOptions(timeout=150, python=python()))
    assert record["error"] is None, record["stderr"]
    assert (record["strategy"], record["steps"]) == ("run", 3)
    assert kinds <= {event["kind"] for event in record["events"]}
    assert not any(event["stale"] for event in record["events"] if event["kind"] == "optimizer_step")
    assert any(node["output_gradient"] for node in record["nodes"] if node["class_name"] in ("Linear", "Conv1D"))
