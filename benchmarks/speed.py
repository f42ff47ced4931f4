"""What linting costs beside other linters, all in one run on the same trees: `python benchmarks/speed.py [--scripts
DIR]`.

Each command runs as a whole process; CPU seconds (user and system, children included), wall seconds and peak memory
come from the operating system's own account of the finished process. The figures to quote are the ratios.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

PEERS = ("ruff", "flake8", "pylint", "torchfix", "torch-preflight")
RUNS = 3
SLOW = ("pylint", "TorchFix", "torch-preflight")
LIBCST = "python -c 'import libcst'"


@dataclass(frozen=True)
class Cost:
    """Medians over the runs of one command."""

    cpu: float
    wall: float
    peak: float


def measure(command: Sequence[str], runs: int = RUNS, before: Sequence[str] | None = None, timeout: int = 900) -> Cost:
    """Run a command some times and take medians; `before` runs unmeasured ahead of each."""
    samples: list[Cost] = []
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(runs):
        if before is not None:
            subprocess.run(before, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, check=False)
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1) and "pylint" not in command[0]:
            raise SystemExit(f"{' '.join(command[:3])} … ended with exit code {process.returncode}")
        samples.append(Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024))
    return Cost(*(statistics.median(getattr(s, name) for s in samples) for name in ("cpu", "wall", "peak")))


def tools() -> dict[str, str]:
    """Where each peer's command is, for those installed beside this interpreter or on the path."""
    scripts = sysconfig.get_path("scripts")
    found = {name: shutil.which(name, path=f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}") for name in PEERS}
    present = {name: path for name, path in found.items() if path is not None}
    if "flake8" in present:
        # TorchFix and gradlint make themselves plugins of the flake8 beside them: no flake8 to compare with then.
        told = subprocess.run([present["flake8"], "--version"], capture_output=True, text=True, check=False).stdout
        if "TorchFix" in told or "gradlint" in told:
            del present["flake8"]
    return present


def commands(tree: Path, cache: Path) -> dict[str, tuple[list[str], list[str] | None]]:
    """Commands to compare on a tree, each with what makes it cold or warm again."""
    gradlint = [sys.executable, "-m", "gradlint", "check", str(tree), "--isolated", "--quiet"]
    kept = [*gradlint, "--cache-dir", str(cache / "gradlint")]
    table: dict[str, tuple[list[str], list[str] | None]] = {
        "python -c pass": ([sys.executable, "-c", "pass"], None),
        "gradlint cold": ([*gradlint, "--no-cache", "--jobs", "1"], None),
        "gradlint cold, every rule": ([*gradlint, "--no-cache", "--jobs", "1", "--select", "ALL", "--preview"], None),
        "gradlint warm": (kept, kept),
    }
    found = tools()
    if "ruff" in found:
        ruff = [found["ruff"], "check", str(tree), "--isolated", "--quiet"]
        warm = [*ruff, "--cache-dir", str(cache / "ruff")]
        table["ruff cold"] = ([*ruff, "--no-cache"], None)
        table["ruff warm"] = (warm, warm)
    if "flake8" in found:
        table["flake8"] = ([found["flake8"], "-j1", "--isolated", str(tree)], None)
    if "pylint" in found:
        table["pylint"] = ([found["pylint"], "-j1", "--rcfile=/dev/null", "--recursive=y", str(tree)], None)
    if "torchfix" in found:
        table["TorchFix"] = ([found["torchfix"], "--select=ALL", str(tree)], None)
    if "torch-preflight" in found:
        table["torch-preflight"] = ([found["torch-preflight"], str(tree)], None)
    return table


def compare(title: str, tree: Path, skip: Sequence[str] = (), runs: int = RUNS) -> dict[str, Cost]:
    """Print one table for one tree."""
    files = list(tree.rglob("*.py"))
    lines = sum(path.read_bytes().count(b"\n") for path in files if path.is_file())
    print(f"\n## {title}: {len(files)} files, {lines} lines\n")
    print("| tool | CPU s | wall s | peak MB | × gradlint cold (CPU) |\n| --- | ---: | ---: | ---: | ---: |")
    results: dict[str, Cost] = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, (command, before) in commands(tree, Path(cache)).items():
            if name in skip:
                continue
            results[name] = measure(command, runs, before)
            base = results.get("gradlint cold")
            ratio = f"{results[name].cpu / base.cpu:.2f}" if base is not None else ""
            print(
                f"| {name} | {results[name].cpu:.2f} | {results[name].wall:.2f} | {results[name].peak:.0f} | {ratio} |",
                flush=True,
            )
    return results


SCRIPT = Path(__file__).parent / "sample_train.py"
LONG_SCRIPT = Path(__file__).parent / "sample_train_300.py"


def _lines(path: Path) -> int:
    return path.read_text("utf-8").count("\n")


def latency() -> None:
    """One small file, as a hook or an editor sees it."""
    rows: list[tuple[str, list[str], list[str] | None]] = []
    with tempfile.TemporaryDirectory() as folder:
        script, plain, cache = Path(folder) / "train.py", Path(folder) / "plain.py", Path(folder) / "cache"
        script.write_text(SCRIPT.read_text("utf-8"), "utf-8")
        plain.write_text("import json\n\n\ndef load(path):\n    return json.load(open(path))\n" * 40, "utf-8")
        lint = [sys.executable, "-m", "gradlint", "--isolated"]
        run = [*lint, str(script), "--cache-dir", str(cache)]
        rows = [
            ("python -c pass", [sys.executable, "-c", "pass"], None),
            *(
                (f"training script of {_lines(path)} lines, cold", [*lint, str(path), "--no-cache"], None)
                for path in (SCRIPT, LONG_SCRIPT)
            ),
            ("training script, unchanged", run, run),
            ("file without training code, cold", [sys.executable, "-m", "gradlint", str(plain)], None),
        ]
        if find_spec("libcst") is not None:
            rows.insert(1, (LIBCST, [sys.executable, "-c", "import libcst"], None))
        print("\n## One file\n\n| command | CPU s | × python -c pass | × import libcst |\n| --- | ---: | ---: | ---: |")
        costs = {name: measure(command, 7, before) for name, command, before in rows}
    for name, cost in costs.items():
        libcst = f"{cost.cpu / costs[LIBCST].cpu:.2f}" if LIBCST in costs else "not installed here"
        print(f"| {name} | {cost.cpu:.3f} | {cost.cpu / costs['python -c pass'].cpu:.1f} | {libcst} |")


def growth() -> None:
    """Cost a line of a file of 1,000 and of 50,000 lines, and memory over many files."""
    block = SCRIPT.read_text("utf-8").split("# --- repeat ---")[1]
    print("\n## Growth\n\n| lines | CPU s | µs a line |\n| ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        bare = measure([sys.executable, "-m", "gradlint", "version"], 3).cpu
        for target in (1_000, 10_000, 50_000):
            copies = target // block.count("\n")
            text = "import torch\nfrom torch import nn\n" + "".join(
                block.replace("NAME", str(i)) for i in range(copies)
            )
            path = Path(folder) / f"big{target}.py"
            path.write_text(text, "utf-8")
            cost = measure([sys.executable, "-m", "gradlint", str(path), "--isolated", "--no-cache"], 1)
            lines = text.count("\n")
            print(f"| {lines} | {cost.cpu:.2f} | {(cost.cpu - bare) / lines * 1e6:.0f} |", flush=True)


def memory(most: int) -> None:
    """Peak memory over trees of more and more files, one in twenty a training script."""
    block = SCRIPT.read_text("utf-8").split("# --- repeat ---")[1]
    print("\n## Memory\n\n| files | of them training scripts | CPU s | peak MB |\n| ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        made = 0
        for target in (most // 20, most // 4, most):
            for number in range(made, target):
                text = f"import json\n\n\ndef load{number}(path):\n    return json.load(open(path))\n"
                if number % 20 == 0:
                    text = "import torch\nfrom torch import nn\n" + block.replace("NAME", str(number))
                place = Path(folder) / f"package{number // 200}"
                place.mkdir(exist_ok=True)
                (place / f"file{number}.py").write_text(text, "utf-8")
            made = target
            cost = measure([sys.executable, "-m", "gradlint", folder, "--isolated", "--no-cache", "-q"], 1)
            print(f"| {target} | {(target + 19) // 20} | {cost.cpu:.1f} | {cost.peak:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scripts", type=Path, help="a folder of training scripts (about 100 files)")
    parser.add_argument("--library", type=Path, help="a folder full of modules, as an installed torch")
    parser.add_argument(
        "--plain", type=Path, default=Path(sysconfig.get_path("stdlib")) / "asyncio", help="a folder without torch"
    )
    parser.add_argument("--files", type=int, default=2_000, help="files of the tree that memory is measured on")
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, "
        f"{platform.machine()}, {time.strftime('%Y-%m-%d')}"
    )
    latency()
    growth()
    memory(given.files)
    if given.scripts:
        compare("Training scripts", given.scripts, runs=given.runs)
    if given.library:
        compare("A library full of modules", given.library, ("gradlint cold, every rule", "flake8", *SLOW), runs=1)
    compare("No torch in it", given.plain, SLOW, runs=given.runs)


if __name__ == "__main__":
    main()
