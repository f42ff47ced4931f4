"""What cannot be tested without a GPU: run `python tests/tracer/cuda_check.py` where there is one, read the report.

1. Graph and gradients on CUDA equal those on the CPU. 2. A GradScaler step in float16 through the whole tracer.
3. Synchronisations that a traced step adds. 4. Its overhead for the four benchmark models. Exits 1 on a failure.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import torch
import torch.nn.functional as F
from torch import nn

from gradlint.tracer.run import TraceOptions, trace
from gradlint.tracer.worker.observe import observing, record_of

ROOT = Path(__file__).resolve().parents[2]
FAILURES: list[str] = []
AMP = """
import torch
from torch import nn
import torch.nn.functional as F

model = nn.Sequential(nn.Linear(64, 128), nn.LayerNorm(128), nn.ReLU(), nn.Linear(128, 10)).cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
scaler = torch.amp.GradScaler("cuda")
while True:
    x, y = torch.randn(32, 64, device="cuda"), torch.randint(0, 10, (32,), device="cuda")
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=torch.float16):
        loss = F.cross_entropy(model(x), y)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
"""


def check(name: str, passed: bool, detail: str = "") -> None:
    """Print one line and remember a failure."""
    print(f"{'ok  ' if passed else 'FAIL'} {name} {detail}", flush=True)
    if not passed:
        FAILURES.append(name)


class Net(nn.Module):
    """Convolution, norm, residual, recurrence and attention in one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.again = nn.Conv2d(16, 16, 3, padding=1)
        self.rnn = nn.LSTM(16, 32, batch_first=True)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.conv(x)))
        x = x + torch.tanh(self.again(x))
        h, _ = self.rnn(x.mean(3).transpose(1, 2))
        h = h + self.attention(h, h, h, need_weights=False)[0]
        return self.head(h[:, -1])


def measured(device: str) -> dict[str, Any]:
    """One float64 step of Net."""
    torch.manual_seed(0)
    model = Net().double().to(device)
    x, y = torch.randn(8, 3, 12, 12, dtype=torch.float64).to(device), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2]).to(device)
    with observing(str(ROOT / "tests"), sample_limit=1 << 22) as recorder:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        recorder.finished = True
        return record_of(recorder)


def graphs() -> None:
    """The same module calls, edges between them, and gradients on both devices."""
    cpu, gpu = measured("cpu"), measured("cuda")
    calls = [{n["id"] for n in r["nodes"] if n["kind"] == "module"} for r in (cpu, gpu)]
    check("same module calls", calls[0] == calls[1], str(calls[0] ^ calls[1] or ""))
    edges = [{(e["source"], e["target"]) for e in r["edges"]} for r in (cpu, gpu)]
    check("same edges", edges[0] == edges[1], str(sorted(edges[0] ^ edges[1]))[:300] if edges[0] != edges[1] else "")
    worst = 0.0
    other = {n["id"]: n for n in gpu["nodes"]}
    for node in cpu["nodes"]:
        for field in ("output_gradient", "input_gradient", "activation"):
            here, there = node[field], (other.get(node["id"]) or {}).get(field)
            if here and there and here["second_moment"] > 0 and there["second_moment"] > 0:
                worst = max(worst, abs(math.log10(there["second_moment"] / here["second_moment"])))
    check("node statistics agree", worst < 1e-3, f"worst {worst:.1e} decades")
    norms = [{p["name"]: p["steps"][0]["grad_norm"] for p in r["parameters"]} for r in (cpu, gpu)]
    wrong = [n for n, v in norms[0].items() if abs(v - norms[1][n]) > 1e-5 * max(v, 1e-6)]
    check("parameter gradient norms agree", not wrong, str(wrong[:5]))
    profiles = [r["recurrent"][0]["input_gradient"] for r in (cpu, gpu)]
    agree = all(abs(a - b) <= 1e-5 * max(a, 1e-12) for a, b in zip(*profiles, strict=True))
    check("time profiles agree", agree and len(profiles[0]) > 0)


def tiny() -> None:
    """Gradients below the smallest float32 square are not zero."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(30):
        layers += [nn.Linear(64, 64), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(64, 1)).cuda()
    with observing(str(ROOT / "tests")) as recorder:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.randn(64, 64, device="cuda")).mean().backward()
        optimizer.step()
        recorder.finished = True
        record = record_of(recorder)
    first = next(p for p in record["parameters"] if p["name"] == "0.weight")["steps"][0]["grad_norm"]
    check("tiny gradients survive", 0 < first < 1e-19, f"norm {first:.1e}")


def amp() -> None:
    """The whole tracer on a script with autocast float16 and GradScaler."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "train.py"
        script.write_text(AMP)
        record = trace(script, [], TraceOptions(device="cuda", timeout=200, verify=True))
    check(
        "amp script traced", record["steps"] == 3 and record["error"] is None, str(record["error"] or record["device"])
    )
    if record["error"]:
        print(record["stderr"][-2000:])
    backward = [e for e in record["events"] if e["kind"] == "backward"]
    check("backward scaled", bool(backward) and all(e["scaled"] for e in backward))
    clips = [e for e in record["events"] if e["kind"] == "clip"]
    check("clip saw unscaled gradients", bool(clips) and not any(e["scaled"] for e in clips))
    types = {n["autocast"] for n in record["nodes"] if n["class_name"] == "Linear"}
    check("autocast type", types == {"float16"}, str(types))
    proof = record["verification"]
    check("verified bit for bit", bool(proof and proof["identical"]), str(proof and proof["differences"][:5]))


def synchronisations() -> None:
    """Waits for the device that a traced step adds: few, and not one a layer."""
    import tracer as bench

    counts = []
    for name in ("small MLP", "ResNet-18"):
        model = bench.Bench(name, "cuda")
        model.bare()
        model.traced()
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught, observing(bench.HERE) as recorder:
            warnings.simplefilter("always")
            recorder.optimizer_state(model.optimizer)
            model.step()
        torch.cuda.set_sync_debug_mode("default")
        places: dict[str, int] = {}
        for warning in caught:
            if "synchroniz" in str(warning.message):
                key = f"{Path(warning.filename).name}:{warning.lineno}"
                places[key] = places.get(key, 0) + 1
        counts.append(sum(places.values()))
        print(f"     {name}: {counts[-1]} synchronisations {places}")
    check("synchronisations do not grow with the layers", counts[1] <= counts[0] + 4)


def overhead() -> None:
    """The benchmark's paired ratios."""
    import tracer as bench

    for name in bench.MODELS:
        model = bench.Bench(name, "cuda")
        found = sorted(bench.ratios(model, model.traced, 20))
        print(
            f"     {name:24} ×{statistics.median(found):.2f} (quartiles {found[5]:.2f} … {found[15]:.2f})", flush=True
        )


def main() -> int:
    """Run all checks."""
    if not torch.cuda.is_available():
        print("no GPU here")
        return 2
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name(0)}")
    for part in (graphs, tiny, amp, synchronisations, overhead):
        try:
            part()
        except Exception as problem:
            import traceback

            traceback.print_exc()
            check(part.__name__, False, repr(problem))
    print("all good" if not FAILURES else f"{len(FAILURES)} failed: {', '.join(FAILURES)}")
    return bool(FAILURES)


if __name__ == "__main__":
    sys.exit(main())
