"""Trace the real scripts of `traces.toml` as a user would, and write what came of each into a table.

    python tests/primer/trace.py [NAME ...] [--repositories FOLDER] [--python PATH] [--timeout SECONDS] [--table FILE]

Each script is started by `gradlint trace SCRIPT --output-format json` with the interpreter `--python`, which should
hold torch and what the scripts import. Packages come from `.primer/` (fetch them first), repositories from clones at
FOLDER/owner/name. NAME limits the run to scripts whose source and path contain it; their rows are replaced.

Below the table: the share of scripts that a real backward of their own loop was seen of, over those whose imports are
installed (none had to be replaced by a stub, and each has what the script asks of it).
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fetch import HERE, PRIMER, load_packages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = HERE.parents[1]
SCRIPTS = HERE / "traces.toml"
TABLE = HERE / "traces.md"
BUILT = "build"
OTHER_VERSION = re.compile(r"module '(\w+)[\w.]*' has no attribute|cannot import name '\w+' from '(\w+)")
STUBBED = re.compile(r"^([\w, ]+?) (?:is )?not installed:")


@dataclass(frozen=True)
class Script:
    """One script with its arguments, in a package or a repository."""

    source: str
    path: str
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        return " ".join([f"{self.source}: {self.path}", *self.arguments])


@dataclass(frozen=True)
class Row:
    """What one trace came to; `absent` are imports that are not installed and were replaced."""

    name: str
    strategy: str
    steps: int
    absent: str
    verdicts: str
    findings: str
    why: str

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.name, self.strategy, str(self.steps), self.absent, self.verdicts, self.findings, self.why)


HEADINGS = ("script", "strategy", "OptimizerSteps", "imports not installed", "verdicts", "confirmed", "why not")


def load_scripts() -> list[Script]:
    """The entries of `traces.toml`."""
    found = []
    for entry in tomllib.loads(SCRIPTS.read_text("utf-8"))["script"]:
        for line in entry["scripts"]:
            path, *arguments = shlex.split(line)
            found.append(Script(entry["source"], path, tuple(arguments)))
    return found


def folder_of(script: Script, repositories: Path | None) -> Path | None:
    """Where the source lies; None if it was not fetched."""
    versions = {package.name: package.version for package in load_packages()}
    if script.source in versions:
        folder = PRIMER / f"{script.source}-{versions[script.source]}"
    elif repositories is not None:
        folder = repositories / script.source
    else:
        return None
    return folder.resolve() if folder.is_dir() else None


def trace(script: Script, folder: Path, python: str, timeout: float) -> Row:
    """Run the command and read its answer."""
    command = [sys.executable, "-m", "gradlint", "trace", script.path, "--quiet", "--output-format", "json"]
    command += ["--python", python, "--timeout", f"{timeout:g}", "--", *script.arguments]
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=None, timeout=12 * timeout, check=False
    )
    if "Traceback (most recent call last)" in result.stderr.split("gradlint:")[-1] or not result.stdout:
        return Row(script.name, "none", 0, "", "", "", (result.stderr.strip().splitlines() or ["nothing printed"])[-1])
    data = json.loads(result.stdout)
    absent = [name for told in data["assumptions"] for names in STUBBED.findall(told) for name in names.split(", ")]
    for names in OTHER_VERSION.findall((data["error"] or {"message": ""})["message"]):
        absent += [f"{name} in another version" for name in names if name and not (folder / name).exists()]
    counts = Counter(item["verdict"] for item in data["verdicts"])
    confirmed = [
        f"{item['name']} ({Path(item['filename']).name}:{item['location']['row']})"
        for item in data["verdicts"]
        if item["verdict"] == "confirmed"
    ]
    error = data["error"]
    traced = any(node.get("decades") is not None for node in data["graph"]["nodes"])
    return Row(
        script.name,
        data["strategy"] if traced or data["steps"] else "none",
        data["steps"],
        ", ".join(sorted(set(absent))),
        ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())),
        ", ".join(confirmed),
        "" if error is None else _said(error, python),
    )


def _said(error: dict[str, str], python: str) -> str:
    """An error for a cell of the table, without this machine's paths."""
    told = error["message"].replace(python, "the interpreter").replace("|", "/")
    return f"{error['kind']}: {told[:240]}"


def read_table(path: Path) -> dict[str, Row]:
    """Rows of the committed table by name."""
    rows = {}
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(HEADINGS) and cells[2].isdigit():
            rows[cells[0]] = Row(cells[0], cells[1], int(cells[2]), *cells[3:])
    return rows


def render(rows: list[Row]) -> str:
    """The table and its sums in Markdown."""
    lines = [
        "# Real scripts, traced",
        "",
        "Written by `python tests/primer/trace.py`: nothing of the scripts was changed, missing data was made up.",
        "Scripts of `traces.toml` that have no row were not run yet.",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "| " + " | ".join("---" for _ in HEADINGS) + " |",
        *("| " + " | ".join(row.cells) + " |" for row in rows),
        "",
    ]
    for told, chosen in (
        (
            "whose imports are all installed",
            [row for row in rows if not row.absent and not row.why.startswith("missing-module")],
        ),
        ("in all", rows),
    ):
        own = [row for row in chosen if row.strategy not in ("none", BUILT)]
        built = [row for row in chosen if row.strategy == BUILT]
        share = 100.0 * len(own) / max(1, len(chosen))
        lines.append(
            f"- {len(chosen)} scripts {told}: {len(own)} ({share:.0f} %) gave a real backward of their own loop, "
            f"{len(built)} more were built."
        )
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="trace only scripts whose name contains one of these")
    parser.add_argument("--repositories", type=Path, metavar="FOLDER")
    parser.add_argument("--python", default=sys.executable, metavar="PATH")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--table", type=Path, default=TABLE, metavar="FILE")
    options = parser.parse_args()
    known = read_table(options.table)
    everyone = load_scripts()
    for script in everyone:
        if options.names and not any(name in script.name for name in options.names):
            continue
        folder = folder_of(script, options.repositories)
        if folder is None or not (folder / script.path).is_file():
            print(f"{script.name}: not fetched", file=sys.stderr)
            continue
        row = known[script.name] = trace(script, folder, options.python, options.timeout)
        print(" | ".join(row.cells), flush=True)
        options.table.write_text(render([known[item.name] for item in everyone if item.name in known]), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
