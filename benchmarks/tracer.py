"""What a traced step costs over a bare one: forward, backward and OptimizerStep, paired in one run.

Bare and traced steps alternate on the same model and batch, so that a busy machine slows both. Printed is the median of
the paired ratios and the quartiles. A traced step is the dearest kind: the first round, with every statistic on, and
its reduction to numbers. `--peers` adds torch-audit and TorchLens where they are installed.

    python benchmarks/tracer.py [--device cuda] [--pairs 20] [--peers] [--threads 1 --cpu-time]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from torch import nn

from gradlint.tracer.worker.observe import observing

HERE = str(Path(__file__).resolve().parent)


class Block(nn.Module):
    """A basic residual block."""

    def __init__(self, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(wide, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.down: nn.Module | None = None
        if stride != 1 or wide != out:
            self.down = nn.Sequential(nn.Conv2d(wide, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.down is None else self.down(x)))


def resnet() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Eighteen layers, widths 64 to 512, on (32, 3, 64, 64)."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    layers.append(nn.MaxPool2d(3, 2, 1))
    wide = 64
    for out, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        layers.append(Block(wide, out, stride))
        wide = out
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 100)]
    return nn.Sequential(*layers), torch.randn(32, 3, 64, 64), torch.randint(0, 100, (32,))


class Transformer(nn.Module):
    """Four pre-norm layers of width 384, six heads, over 128 tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(1000, 384)
        self.places = nn.Parameter(torch.randn(128, 384) * 0.02)
        layer = nn.TransformerEncoderLayer(384, 6, 1536, 0.1, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(384, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.tokens(x) + self.places)).flatten(0, 1)


def transformer() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Batch 8."""
    return Transformer(), torch.randint(0, 1000, (8, 128)), torch.randint(0, 1000, (8 * 128,))


class Recurrent(nn.Module):
    """Two LSTM layers of 256 over 64 steps."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(128, 256, 2, batch_first=True)
        self.head = nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0][:, -1])


def lstm() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Batch 32."""
    return Recurrent(), torch.randn(32, 64, 128), torch.randint(0, 10, (32,))


def mlp() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Four layers of 128, batch 64: almost nothing to hide the overhead behind."""
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 10)), torch.randn(64, 128), torch.randint(0, 10, (64,))


MODELS: dict[str, Callable[[], tuple[nn.Module, torch.Tensor, torch.Tensor]]] = {
    "ResNet-18": resnet,
    "transformer, 4 layers": transformer,
    "LSTM, 2 layers": lstm,
    "small MLP": mlp,
}


class Bench:
    """One model, its batch, and ways to take one step."""

    def __init__(self, name: str, device: str, now: Callable[[], float] = time.perf_counter) -> None:
        torch.manual_seed(0)
        self.now = now
        self.auditor: Any = None
        model, x, y = MODELS[name]()
        self.device = torch.device(device)
        self.model, self.x, self.y = model.to(device), x.to(device), y.to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)

    def step(self) -> None:
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(self.x), self.y).backward()
        self.optimizer.step()

    def clock(self, action: Callable[[], Any]) -> float:
        self._settle()
        start = self.now()
        action()
        self._settle()
        return self.now() - start

    def _settle(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def bare(self) -> float:
        return self.clock(self.step)

    def traced(self) -> float:
        with observing(HERE) as recorder:
            recorder.optimizer_state(self.optimizer)
            return self.clock(self.step)

    def torch_audit(self) -> float:
        import torch_audit

        if self.auditor is None:
            quiet: dict[str, Any] = {"reporters": [], "every_n_steps": 1, "fail_level": "FATAL"}
            self.auditor = torch_audit.Auditor(self.model, optimizer=self.optimizer, **quiet)
            self.auditor.attach()
        auditor = self.auditor

        def step() -> None:
            self.optimizer.zero_grad()
            auditor.backward(F.cross_entropy(auditor.forward(self.x), self.y))
            auditor.optimizer_step()

        try:
            return self.clock(step)
        finally:
            auditor.detach()
            self.auditor = None

    def torchlens(self) -> float:
        """Its log of a forward pass, and a bare step: it records activations, gradients only on further request."""
        import torchlens

        def step() -> None:
            self.optimizer.zero_grad()
            torchlens.trace(self.model, self.x)
            F.cross_entropy(self.model(self.x), self.y).backward()
            self.optimizer.step()

        return self.clock(step)


def ratios(bench: Bench, other: Callable[[], float], pairs: int) -> list[float]:
    """Paired ratios other/bare, warmed up, alternating which comes first."""
    bench.bare(), other(), bench.bare(), other()
    found = []
    for index in range(pairs):
        if index % 2:
            bare, measured = bench.bare(), other()
        else:
            measured, bare = other(), bench.bare()
        found.append(measured / bare)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", choices=list(MODELS))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cpu-time", action="store_true", help="processor time, for a machine that others use too")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    clock = "processor time" if options.cpu_time else "wall clock"
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {options.device}, {clock}, {threads} threads, {options.pairs} pairs")
    for name in [options.only] if options.only else list(MODELS):
        bench = Bench(name, options.device, time.process_time if options.cpu_time else time.perf_counter)
        ways = {"gradlint": bench.traced}
        if options.peers:
            ways.update({"torch-audit": bench.torch_audit, "TorchLens": bench.torchlens})
        for way, action in ways.items():
            try:
                found = sorted(
                    ratios(bench, action, options.pairs if way == "gradlint" else max(3, options.pairs // 4))
                )
            except Exception as problem:
                print(f"{name:24}{way:14}failed: {type(problem).__name__}: {str(problem)[:100]}")
                continue
            low, _, high = statistics.quantiles(found, n=4)
            print(f"{name:24}{way:14}×{statistics.median(found):.2f}   quartiles {low:.2f} … {high:.2f}", flush=True)


if __name__ == "__main__":
    main()
