"""Scripts as they come, each in a child of its own: how they end, what they leave behind, what was assumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tracing import python

from gradlint.errors import TraceError
from gradlint.tracer.run import TraceOptions, trace
from gradlint.tracer.schema import SCHEMA_VERSION, TraceRecord

pytestmark = pytest.mark.torch

HEAD = """
import os, sys, time
import torch
from torch import nn
import torch.nn.functional as F
"""
MODEL = """
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def step():
    optimizer.zero_grad()
    F.cross_entropy(model(torch.randn(6, 4)), torch.randint(0, 2, (6,))).backward()
    optimizer.step()
"""
LOOP = MODEL + "while True:\n    step()\n"


def run(
    folder: Path, source: str, *arguments: str, head: str = HEAD, cold: bool = False, **options: Any
) -> TraceRecord:
    """Trace a script of this text; afterwards no process of it may be left.

    `cold`: with an interpreter of its own from the start, for what depends on its being our child.
    """
    script = folder / "train.py"
    script.write_text(head + source)
    if not cold:
        options.setdefault("python", python())
        return checked(trace(script, arguments, TraceOptions(**{"timeout": 60.0, **options})))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    options.setdefault("timeout", 60.0)
    record = trace(script, arguments, TraceOptions(**options))
    left = [c for c in psutil.Process().children(recursive=True) if c.pid not in before]
    assert [c for c in left if c.status() != psutil.STATUS_ZOMBIE] == []
    return checked(record)


def checked(record: TraceRecord) -> TraceRecord:
    assert record["schema_version"] == SCHEMA_VERSION
    return record


def assumed(record: TraceRecord, kind: str) -> list[str]:
    return [entry["message"] for entry in record["assumptions"] if entry["kind"] == kind]


def test_an_endless_loop_is_stopped_after_its_steps(tmp_path: Path) -> None:
    record = run(tmp_path, LOOP, cold=True)
    assert record["error"] is None, record["stderr"]
    assert (record["strategy"], record["steps"], record["rounds"]) == ("run", 3, 3)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["step"]
    assert record["torch_version"]
    assert record["device"] == "cpu"
    assert {node["called"]["file"] for node in record["nodes"] if node["called"]} == {str(tmp_path / "train.py")}


@pytest.mark.parametrize(
    "loop",
    [
        "try:\n    while True:\n        step()\nexcept Exception:\n    time.sleep(100)\n",
        "while True:\n    try:\n        step()\n    except:\n        pass\n",
        "while True:\n    try:\n        step()\n    except BaseException:\n        continue\n",
        "try:\n    while True:\n        step()\nfinally:\n    time.sleep(100)\n",
        "import threading\nt = threading.Thread(target=lambda: [step() for _ in range(10**9)])\nt.start()\nt.join()\n",
        "import threading\nthreading.Thread(target=time.sleep, args=(100,)).start()\nwhile True:\n    step()\n",
        "import atexit\natexit.register(time.sleep, 100)\nwhile True:\n    step()\n",
    ],
    ids=["except-exception", "bare-except", "except-base", "finally", "thread", "other-thread", "atexit"],
)
def test_the_stop_gets_through(tmp_path: Path, loop: str) -> None:
    started = time.monotonic()
    record = run(tmp_path, MODEL + loop, timeout=50.0)
    assert record["error"] is None, record["stderr"]
    assert record["steps"] == 3, record["stderr"]
    assert time.monotonic() - started < 45


def test_loader_workers_are_switched_off(tmp_path: Path) -> None:
    source = (
        MODEL
        + """
from torch.utils.data import DataLoader, TensorDataset
data = TensorDataset(torch.randn(64, 4), torch.randint(0, 2, (64,)))
loader = DataLoader(data, 8, True, num_workers=2, pin_memory=True, persistent_workers=True, prefetch_factor=4)
for x, y in loader:
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
"""
    )
    record = run(tmp_path, source)
    assert record["steps"] == 3, record["stderr"]
    assert assumed(record, "loader")


def test_arguments_folder_and_neighbours(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, wide):\n        super().__init__()\n"
        "        self.layer = nn.Linear(4, wide)\n\n    def forward(self, x):\n        return self.layer(x)\n"
    )
    (tmp_path / "settings.txt").write_text("0.5")
    source = """
import argparse
from parts.net import Net
parser = argparse.ArgumentParser()
parser.add_argument("--wide", type=int, required=True)
args = parser.parse_args()
assert __name__ == "__main__"
rate = float(open("settings.txt").read())
model = Net(args.wide)
optimizer = torch.optim.SGD(model.parameters(), lr=rate)
while True:
    optimizer.zero_grad()
    model(torch.randn(2, 4)).mean().backward()
    optimizer.step()
"""
    record = run(tmp_path, source, "--wide", "7")
    assert record["error"] is None, record["stderr"]
    assert record["arguments"] == ["--wide", "7"]
    (weight,) = [p for p in record["parameters"] if p["name"] == "layer.weight"]
    assert weight["shape"] == [7, 4]
    assert weight["constructed"] == {"file": str(tmp_path / "parts" / "net.py"), "line": 7, "function": "__init__"}


def test_what_the_script_writes_does_not_reach_the_users_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    source = (
        MODEL
        + """
open("notes.txt", "w").write("overwritten")
os.makedirs("out", exist_ok=True)
torch.save(model.state_dict(), "out/model.pt")
open(os.path.expanduser("~/gradlint-was-here"), "w").write("x")
while True:
    step()
"""
    )
    record = run(tmp_path, source)
    assert record["steps"] == 3, record["stderr"]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "train.py"]
    assert not (Path.home() / "gradlint-was-here").exists()
    assert assumed(record, "scratch-directory")
    kept = run(
        tmp_path, source.replace('open(os.path.expanduser("~/gradlint-was-here"), "w").write("x")', ""), in_place=True
    )
    assert kept["steps"] == 3
    assert (tmp_path / "notes.txt").read_text() == "overwritten"
    assert (tmp_path / "out" / "model.pt").exists()


def test_standard_input_is_a_terminal_at_its_end(tmp_path: Path) -> None:
    source = (
        """
assert sys.stdin.isatty()
assert os.get_terminal_size(0) == (80, 24)
try:
    input("continue? ")
except EOFError:
    pass
"""
        + LOOP
    )
    assert run(tmp_path, source)["steps"] == 3


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("sys.exit(3)\n", "script-exit", "sys.exit(3)"),
        ("os._exit(4)\n", "script-exit", "os._exit(4)"),
        ("raise ValueError('odd')\n", "script-error", "ValueError: odd"),
        ("import ctypes\nctypes.string_at(0)\n", "crash", "SIGSEGV"),
        ("os.abort()\n", "crash", "SIGABRT"),
        ("print('nothing to train')\n", "no-backward", "never called backward"),
        (
            MODEL + "for _ in range(3):\n    F.cross_entropy(model(torch.randn(6, 4)), torch.zeros(6).long())\n",
            "no-backward",
            "",
        ),
        ("def broken(:\n", "script-error", "SyntaxError"),
        ("os.kill(os.getpid(), 9)\n", "memory", "killed"),
    ],
    ids=["exit", "hard-exit", "raise", "segfault", "abort", "nothing", "forward-only", "syntax", "killed"],
)
def test_every_bad_end_is_one_sentence(tmp_path: Path, source: str, kind: str, words: str) -> None:
    record = run(tmp_path, source)
    if kind == "no-backward" and "model" in source:
        assert record["strategy"] == "build"
        return
    assert record["error"] is not None
    assert record["error"]["kind"] == kind
    assert words in record["error"]["message"]
    assert "\n" not in record["error"]["message"]


def test_an_error_tells_its_line(tmp_path: Path) -> None:
    record = run(tmp_path, "\ndef work():\n    return torch.randn(2) @ torch.randn(3)\n\nwork()\n")
    assert record["error"] is not None
    assert record["error"]["place"] == {"file": str(tmp_path / "train.py"), "line": 8, "function": "work"}


def test_a_hang_ends_in_time_and_leaves_nothing(tmp_path: Path) -> None:
    started = time.monotonic()
    source = "import subprocess\nsubprocess.Popen(['sleep', '1000'])\n"
    source += "subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
    record = run(tmp_path, source + "while True:\n    time.sleep(1)\n", timeout=8.0, cold=True)
    assert record["error"] is not None
    assert record["error"]["kind"] == "timeout"
    assert record["error"]["message"].startswith("no backward call within 8 s: a longer --timeout helps")
    assert record["attempts"][0]["outcome"] == "timeout"
    assert "batch-cap" not in [attempt["strategy"] for attempt in record["attempts"]]
    assert time.monotonic() - started < 60


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    mark = tmp_path / "pids"
    script = tmp_path / "train.py"
    script.write_text(
        HEAD + "import subprocess\nchild = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        f"open({str(mark)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\ntime.sleep(1000)\n"
    )
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "gradlint", "trace", str(script), "--in-place"]
    tracer = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while tracer.poll() is None and not (mark.is_file() and mark.read_text().endswith("\n")):
        time.sleep(0.1)
    tracer.send_signal(signal.SIGINT)
    _, said = tracer.communicate(timeout=60)
    assert tracer.returncode == 130, said
    assert said.decode().splitlines()[-1] == "gradlint: interrupted"
    assert not [pid for pid in map(int, mark.read_text().split()) if psutil.pid_exists(pid)]


def test_a_timeout_after_a_step_still_gives_the_step(tmp_path: Path) -> None:
    record = run(tmp_path, MODEL + "step()\ntime.sleep(1000)\n", timeout=8.0)
    assert record["steps"] == 1
    assert record["error"] is not None
    assert record["error"]["kind"] == "timeout"
    assert record["error"]["message"].startswith("only 1 OptimizerStep within 8 s")
    assert [n for n in record["nodes"] if n["class_name"] == "Linear"]


def test_backward_calls_of_the_own_loop_are_worth_more_than_steps_of_a_made_up_one(tmp_path: Path) -> None:
    loop = "loss = F.cross_entropy(model(torch.randn(6, 4)), torch.tensor([0, 1, 0, 1, 0, 1]))\nloss.backward()\n"
    record = run(tmp_path, MODEL + loop + "while True:\n    pass\n", timeout=8.0)
    assert (record["strategy"], record["steps"]) == ("run", 0)
    assert [attempt["strategy"] for attempt in record["attempts"]] == ["run"]
    assert record["error"] is not None
    assert record["error"]["message"].startswith("1 backward call and no OptimizerStep within 8 s")
    assert [node["output_gradient"] is not None for node in record["nodes"] if node["class_name"] == "Linear"] == [
        True,
        True,
    ]


def test_detached_children_are_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    source = (
        f"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open({str(mark)!r}, "w").write(str(os.getpid()))
        time.sleep(1000)
    os._exit(0)
time.sleep(1)
"""
        + LOOP
    )
    record = run(tmp_path, source, in_place=True, cold=True)
    assert record["steps"] == 3, record["stderr"]
    assert not psutil.pid_exists(int(mark.read_text()))


def test_a_fork_bomb_is_bounded(tmp_path: Path) -> None:
    source = "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n    time.sleep(0.3)\n"
    record = run(tmp_path, source, processes=24, timeout=40.0, cold=True)
    assert record["error"] is not None
    assert record["error"]["kind"] in ("processes", "timeout")


def test_memory_is_bounded(tmp_path: Path) -> None:
    source = "kept = []\nwhile True:\n    kept.append(torch.ones(1 << 24))\n    time.sleep(0.02)\n"
    record = run(tmp_path, source, memory=1 << 30, timeout=60.0, cold=True)
    assert record["error"] is not None
    assert record["error"]["kind"] == "memory"
    assert "1.0 GiB" in record["error"]["message"]


def test_no_network_unless_allowed(tmp_path: Path) -> None:
    source = (
        """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname())
names = [name for _, name in socket.if_nameindex()]
print("interfaces", names)
"""
        + LOOP
    )
    record = run(tmp_path, source, cold=True)
    assert record["steps"] == 3, record["stderr"]
    if not assumed(record, "network"):
        assert "interfaces ['lo']" in record["stdout"]


def test_output_is_kept_apart_from_the_record(tmp_path: Path) -> None:
    source = "print('to out'); print('{\"steps\": 99}'); print('to err', file=sys.stderr)\nos.write(1, b'raw')\n" + LOOP
    record = run(tmp_path, source)
    assert record["steps"] == 3, record["stderr"]
    assert "to out" in record["stdout"]
    assert "raw" in record["stdout"]
    assert "to err" in record["stderr"]


def test_missing_files_are_written(tmp_path: Path) -> None:
    source = """
import csv, json
rows = list(csv.DictReader(open("data/train.csv")))
x = torch.tensor([[float(r["height"]), float(r["weight"])] for r in rows])
y = torch.tensor([int(r["label"]) for r in rows])
if not os.path.exists("words/corpus.txt"):
    sys.exit("corpus missing")
words = open("words/corpus.txt").read().split()
model = nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(10):
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
"""
    record = run(tmp_path, source)
    assert record["strategy"] == "files", record["stderr"]
    assert record["steps"] == 3, record["stderr"]
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["missing-data", "script-exit", "step"]
    assert len(assumed(record, "synthetic-file")) == 2
    assert not (tmp_path / "data").exists()


def test_a_missing_folder_of_pictures_without_classes_is_made_up_too(tmp_path: Path) -> None:
    source = """
paths = [path for path in os.listdir("pictures") if path.endswith(".png")]
assert paths
"""
    record = run(tmp_path, source + LOOP)
    assert (record["strategy"], record["steps"]) == ("files", 3), record["stderr"]
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["missing-data", "script-error", "step"]


TORCHRUN = """
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
torch.distributed.init_process_group("gloo", rank=rank, world_size=world)
model = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
while True:
    optimizer.zero_grad()
    F.cross_entropy(model(torch.randn(6, 4)), torch.randint(0, 2, (6,))).backward()
    optimizer.step()
"""


def test_a_script_for_torchrun_runs_as_its_only_process(tmp_path: Path) -> None:
    record = run(tmp_path, TORCHRUN)
    assert record["error"] is None, record["stderr"]
    assert (record["strategy"], record["steps"]) == ("run", 3)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["script-error", "step"]
    assert "the environment variables of torchrun were set as for one process" in assumed(record, "distributed")


def test_what_a_script_starts_processes_for_runs_here(tmp_path: Path) -> None:
    source = """
import torch.multiprocessing as mp

def train(rank, model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(6, 4)), torch.randint(0, 2, (6,))).backward()
        optimizer.step()

if __name__ == "__main__":
    model = nn.Linear(4, 2).share_memory()
    workers = [mp.Process(target=train, args=(rank, model)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert workers[0].exitcode == 0
"""
    record = run(tmp_path, source)
    assert record["error"] is None, record["stderr"]
    assert (record["strategy"], record["steps"]) == ("run", 3)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["no-backward", "step"]
    assert "what the script starts processes for ran once, in this process" in assumed(record, "distributed")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("assert os.path.exists('surely/not/here.tfrecord')\n", "AssertionError at `assert os.path.exists("),
        ("os.environ['CORPUS']\n", "the environment variable CORPUS is not set"),
        ("input('how many epochs? ')\n", "the script needs its answer as an argument"),
        ("import urllib.request\nurllib.request.urlopen('http://10.255.0.1/', timeout=5)\n", "--network"),
        ("torch.load('weights.pt')\n", "put it there, or name another"),
        ("from surely_not_here import Model\nModel().train()[0].fit\nraise ImportError\n", ""),
    ],
    ids=["assert", "variable", "input", "network", "file", "module"],
)
def test_what_would_help_is_said(tmp_path: Path, source: str, words: str) -> None:
    record = run(tmp_path, source)
    assert record["error"] is not None
    if words == "--network" and assumed(record, "network"):
        pytest.skip("the network cannot be cut off here")
    assert words in record["error"]["message"]
    assert len(record["error"]["message"]) < 400


def test_a_missing_logger_is_stubbed(tmp_path: Path) -> None:
    source = (
        """
import fancylogger
from fancylogger.writers import Writer
writer = Writer("runs")
fancylogger.init(project="x", config={"a": 1})
"""
        + MODEL
        + """
while True:
    step()
    writer.add_scalar("loss", 1.0, 0)
    fancylogger.log({"loss": 1.0})
"""
    )
    record = run(tmp_path, source)
    assert record["steps"] == 3, record["stderr"]
    assert record["attempts"][0]["outcome"] == "missing-module"
    assert "fancylogger" in assumed(record, "stubbed-module")[0]


def test_optional_imports_stay_optional(tmp_path: Path) -> None:
    source = (
        "try:\n    import surely_not_here\n    found = True\nexcept ImportError:\n    found = False\nassert not found\n"
        + LOOP
    )
    record = run(tmp_path, source)
    assert record["steps"] == 3, record["stderr"]
    assert not assumed(record, "stubbed-module")


def test_a_script_that_wants_two_gpus_gets_them_pretended(tmp_path: Path) -> None:
    source = """
if torch.cuda.device_count() < 2:
    print("Unable to locate sufficient 2 gpus to run this example. Exiting.")
    sys.exit()
assert torch.accelerator.device_count() == 2
"""
    record = run(tmp_path, source + LOOP)
    assert (record["strategy"], record["steps"]) == ("pretend-cuda", 3), record["stderr"]
    assert assumed(record, "pretended-cuda") == ["2 GPUs were pretended; tensors stayed on the CPU"]


CUDA = """
device = torch.device("cuda")
torch.cuda.set_device(0)
generator = torch.Generator(device="cuda").manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).to(device).cuda()
model = nn.DataParallel(model)
optimizer = torch.optim.Adam(model.parameters())
scaler = torch.amp.GradScaler("cuda")
weights = torch.ones(2, device="cuda:0")
with torch.device("cuda"):
    extra = torch.zeros(3)
while True:
    x = torch.randn(6, 4, device=device).to("cuda", non_blocking=True).cuda(0)
    y = torch.tensor([0, 1] * 3).to(0)
    optimizer.zero_grad()
    with torch.autocast("cuda", dtype=torch.float16):
        loss = F.cross_entropy(model(x), y, weight=weights)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    torch.cuda.synchronize()
"""


@pytest.mark.filterwarnings("default")
def test_cuda_is_redirected(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    record = run(tmp_path, CUDA)
    assert record["error"] is None, record["stderr"]
    assert (record["strategy"], record["steps"]) == ("run", 3)
    assert assumed(record, "device")


def test_a_script_that_insists_on_a_gpu_gets_a_pretended_one(tmp_path: Path) -> None:
    source = (
        """
if not torch.cuda.is_available():
    raise RuntimeError("CUDA is not available, this script needs a GPU")
print(torch.cuda.get_device_name(0), torch.cuda.get_device_properties(0).total_memory, torch.cuda.device_count())
start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
start.record()
"""
        + CUDA
    )
    record = run(tmp_path, source, device="auto")
    assert record["strategy"] == "pretend-cuda", record["stderr"]
    assert record["steps"] == 3, record["stderr"]
    assert assumed(record, "pretended-cuda")
    assert [e["skipped"] for e in record["events"] if e["kind"] == "scaler_step"][:1] == [False]


def test_torchvision_data_sets_are_imitated(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    import importlib.util

    if importlib.util.find_spec("torchvision"):
        pytest.skip("torchvision is here")
    source = """
from torchvision import datasets, transforms
from torch.utils.data import DataLoader
transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
data = datasets.MNIST("../data", train=True, download=True, transform=transform)
loader = DataLoader(data, batch_size=32, shuffle=True)
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x, y in loader:
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
"""
    record = run(tmp_path, source)
    assert record["steps"] == 3, record["stderr"]
    assert "MNIST" in assumed(record, "synthetic-dataset")[0]


def test_too_slow_before_the_first_step_gets_a_smaller_batch(tmp_path: Path) -> None:
    source = (
        MODEL
        + """
from torch.utils.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(torch.randn(512, 4)), batch_size=256)
for (x,) in loader:
    time.sleep(0.2 * len(x))
    optimizer.zero_grad()
    model(x).mean().backward()
    optimizer.step()
"""
    )
    record = run(tmp_path, source, timeout=10.0)
    assert record["strategy"] == "batch-cap"
    assert record["steps"] == 3, record["stderr"]
    assert assumed(record, "batch-cap")


def test_build_when_the_loop_cannot_run(tmp_path: Path) -> None:
    source = """
import argparse

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--lr", type=float, default=0.05)
    args = parser.parse_args()
    loader = load_everything(args.data)
    model = Net(5)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # clip
        optimizer.step()

if __name__ == "__main__":
    main()
"""
    record = run(tmp_path, source)
    assert record["strategy"] == "build", record["stderr"]
    assert record["steps"] == 3, record["stderr"]
    assert record["attempts"][0]["outcome"] == "script-exit"
    kinds = [event["kind"] for event in record["events"] if event["kind"] != "mode"]
    assert kinds[:6] == ["zero_grad", "forward", "forward", "backward", "clip", "optimizer_step"]
    (clip,) = {event["place"]["line"] for event in record["events"] if event["kind"] == "clip" and event["place"]}
    assert (HEAD + source).splitlines()[clip - 1].endswith("# clip")
    assert record["optimizers"][0]["groups"][0]["settings"]["lr"] == 0.05
    assert record["losses"][0]["name"] == "cross_entropy"
    assert assumed(record, "built")


def test_no_run_builds_at_once_with_the_users_inputs(tmp_path: Path) -> None:
    source = MODEL + "raise SystemExit('never run this')\n"
    record = run(tmp_path, source, run=False, input_shape=(5, 4))
    assert [attempt["strategy"] for attempt in record["attempts"]] == ["build"]
    (first, *_) = [n for n in record["nodes"] if n["class_name"] == "Linear"]
    assert first["inputs"][0]["shape"] == [5, 4]
    hopeless = run(
        tmp_path, "class Odd(nn.Module):\n    pass\n\nnet = Odd()\nnet.w = nn.Parameter(torch.ones(1))\n", run=False
    )
    assert hopeless["error"] is not None
    assert "--input-shape" in hopeless["error"]["message"]


def test_prelude_runs_first(tmp_path: Path) -> None:
    prelude = tmp_path / "prelude.py"
    prelude.write_text("import os\nos.environ['WIDTH'] = '5'\n")
    source = "model = nn.Linear(4, int(os.environ['WIDTH']))\n"
    source += "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
    source += "while True:\n    optimizer.zero_grad(); model(torch.randn(2, 4)).mean().backward(); optimizer.step()\n"
    record = run(tmp_path, source, setup=prelude)
    assert record["steps"] == 3, record["stderr"]


def test_verified_bit_for_bit(tmp_path: Path) -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.rnn = nn.LSTM(16, 16, batch_first=True)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        h, _ = self.rnn(self.embed(x))
        return self.head(self.drop(F.relu_(self.norm(h[:, -1]))))

model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
while True:
    model.train()
    optimizer.zero_grad()
    F.cross_entropy(model(torch.randint(0, 20, (8, 12))), torch.randint(0, 4, (8,))).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
"""
    verification = run(tmp_path, source, verify=True, measure=("same-batch",))["verification"]
    assert verification is not None
    assert verification["differences"] == []
    assert verification["identical"]
    assert verification["compared"] > 60


def test_verification_finds_a_difference(tmp_path: Path) -> None:
    source = "model = nn.Linear(4, 1)\nwith torch.no_grad():\n    model.weight[0, 0] = time.time() % 1\n"
    source += "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
    source += "while True:\n    optimizer.zero_grad(); model(torch.ones(2, 4)).mean().backward(); optimizer.step()\n"
    verification = run(tmp_path, source, verify=True)["verification"]
    assert verification is not None
    assert not verification["identical"]
    assert verification["differences"] == ["parameter Linear[0].weight"]


def test_compile_is_left_out(tmp_path: Path) -> None:
    source = (
        MODEL
        + "model = torch.compile(model)\n\n@torch.compile\ndef twice(x):\n    return 2 * x\n\ntwice(torch.ones(1))\n"
    )
    record = run(tmp_path, source + "while True:\n    step()\n")
    assert record["steps"] == 3, record["stderr"]
    assert assumed(record, "compile")


CHECKPOINTED = """
from torch.utils.checkpoint import checkpoint

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.block = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(checkpoint(self.block, PART, use_reentrant=True))

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
while True:
    optimizer.zero_grad()
    model(torch.randn(5, 4)).sum().backward()
    optimizer.step()
"""


def test_edges_lead_through_a_reentrant_checkpoint(tmp_path: Path) -> None:
    record = run(tmp_path, CHECKPOINTED.replace("PART", "self.stem(x)"))
    assert assumed(record, "checkpoint"), record["stderr"]
    first = [(edge["source"], edge["target"]) for edge in record["edges"] if edge["source"].endswith("#0")]
    assert {
        ("stem#0", "block.0#0"),
        ("block.0#0", "block.1#0"),
        ("block.1#0", "block.2#0"),
        ("block.2#0", "head#0"),
    } <= {*first}


def test_a_checkpoint_without_gradient_stays_one(tmp_path: Path) -> None:
    """The reentrant kind trains nothing where none of its inputs needs a gradient."""
    record = run(tmp_path, CHECKPOINTED.replace("PART", "self.stem(x).detach()"))
    assert not assumed(record, "checkpoint"), record["stderr"]
    reached = {item["name"]: item["reached"] for item in record["parameters"]}
    assert {name for name, found in reached.items() if found} == {"head.weight", "head.bias"}


def test_spawned_ranks_run_here(tmp_path: Path) -> None:
    source = """
import torch.distributed as dist
import torch.multiprocessing as mp

def work(rank, world):
    dist.init_process_group("nccl", init_method="tcp://10.0.0.1:1234", rank=rank, world_size=world)
    model = nn.parallel.DistributedDataParallel(nn.Linear(4, 1), device_ids=[rank])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    while True:
        optimizer.zero_grad()
        model(torch.randn(2, 4)).mean().backward()
        optimizer.step()

if __name__ == "__main__":
    mp.spawn(work, args=(4,), nprocs=4)
"""
    record = run(tmp_path, source)
    assert record["steps"] == 3, record["stderr"]
    assert assumed(record, "distributed")


def test_seed_makes_runs_equal(tmp_path: Path) -> None:
    first, second = run(tmp_path, LOOP, seed=1), run(tmp_path, LOOP, seed=1)
    other = run(tmp_path, LOOP, seed=2)
    values = [[e["value"] for e in r["events"] if e["kind"] == "backward"] for r in (first, second, other)]
    assert values[0] == values[1] != values[2]


def test_what_cannot_be_started_at_all(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such script"):
        trace(tmp_path / "absent.py", [], TraceOptions())
    script = tmp_path / "train.py"
    script.write_text(HEAD + LOOP)
    with pytest.raises(TraceError, match="no such interpreter"):
        trace(script, [], TraceOptions(python="/nowhere/python"))
    with pytest.raises(TraceError, match="no such setup file"):
        trace(script, [], TraceOptions(setup=tmp_path / "absent.py"))


def test_an_interpreter_without_torch(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    bare.chmod(0o755)
    record = run(tmp_path, LOOP, python=str(bare))
    assert record["error"] is not None
    assert record["error"]["kind"] == "no-torch"
    assert "cannot import torch" in record["error"]["message"]


def test_parent_never_imports_torch() -> None:
    code = "import sys, gradlint.tracer.run, gradlint.tracer.ladder; assert 'torch' not in sys.modules"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(root)})


def test_a_message_names_the_users_path(tmp_path: Path) -> None:
    record = run(tmp_path, "torch.load(os.path.abspath('kept/weights.pt'))\n")
    assert record["error"] is not None
    assert "directory: 'kept/weights.pt'" in record["error"]["message"]
