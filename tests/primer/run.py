"""Lint the primer packages and compare with the committed table and judgements.

    python tests/primer/run.py [NAME ...] [--unjudged] [--update-counts]

Runs `gradlint check` with the default set on every Python file of each package (fetch them first) and fails when

- the command crashes, runs out of time, skips a file it was given, or ends with another code than 0 or 1;
- the findings by code in the training folders differ from `counts.toml`;
- a finding has no entry in `judgements.toml`, an entry there matches nothing, or a finding is judged false;
- debatable findings exceed one per 5,000 lines of training files.

A training file is a Python file in the package's `training` folders that mentions torch and contains `.backward(` or
`.step(`, or defines a class whose base is a `Module`. A judgement is keyed by package, file, code and the fingerprint
of the line's text, so it survives moved lines.
`--unjudged` prints entries to fill in; `--update-counts` rewrites the table.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fetch import HERE, FetchError, Package, load_packages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COUNTS = HERE / "counts.toml"
JUDGEMENTS = HERE / "judgements.toml"
VERDICTS = ("true", "debatable", "false")
LINES_PER_DEBATABLE = 5000
TIME_LIMIT_SECONDS = 900
MODULE_CLASS = re.compile(r"^\s*class\s+\w+\([^)]*Module\b", re.MULTILINE)


class PrimerError(Exception):
    """The command failed on a package, or a table cannot be read."""


@dataclass(frozen=True, order=True)
class Key:
    """What a judgement is looked up by."""

    package: str
    file: str
    code: str
    fingerprint: str


@dataclass(frozen=True)
class Found:
    """One finding in a training folder."""

    key: Key
    row: int
    text: str
    message: str


def is_training_text(text: str) -> bool:
    """Whether a file's text is that of a training file (see the module's docstring)."""
    return "torch" in text and (".backward(" in text or ".step(" in text or MODULE_CLASS.search(text) is not None)


def in_training_folders(package: Package, file: Path) -> bool:
    """Whether `file` (relative to the package's root) lies in one of its training folders."""
    return any(PurePosixPath(file.as_posix()).is_relative_to(folder) for folder in package.training)


def fingerprint(text: str) -> str:
    """First 12 hex digits of the sha256 of the line without its indentation."""
    return hashlib.sha256(text.strip().encode("utf-8")).hexdigest()[:12]


def gradlint(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command; raises PrimerError when it takes longer than the limit."""
    try:
        return subprocess.run(
            [sys.executable, "-m", "gradlint", "check", "--isolated", "--no-cache", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), "PYTHONSAFEPATH": "1"},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIME_LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PrimerError(f"no answer within {TIME_LIMIT_SECONDS} s") from error


def lint(package: Package, files: list[Path]) -> list[Found]:
    """All findings of the default set in the package's training folders; raises PrimerError."""
    names = [file.as_posix() for file in files]
    listed = gradlint(["--show-files", *names], package.root)
    if listed.returncode != 0:
        raise PrimerError(f"--show-files: {_last_line(listed.stderr)}")
    if len(listed.stdout.splitlines()) != len(names):
        raise PrimerError(f"{len(names)} files given, {len(listed.stdout.splitlines())} would be linted")
    done = gradlint(["--jobs", "0", "--output-format", "json", *names], package.root)
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        raise PrimerError(f"exit code {done.returncode}: {_last_line(done.stderr)}")
    try:
        items = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise PrimerError(f"the output is no JSON: {error}") from error
    if bool(items) != (done.returncode == 1):
        raise PrimerError(f"exit code {done.returncode} with {len(items)} findings")
    return sorted(_found(package, items), key=lambda found: (found.key, found.row))


def _last_line(text: str) -> str:
    return (text.strip() or "no message").splitlines()[-1]


def _found(package: Package, items: list[dict[str, object]]) -> list[Found]:
    texts: dict[Path, list[str]] = {}
    found = []
    for item in items:
        name = Path(str(item["filename"]))
        file = name.relative_to(package.root) if name.is_absolute() else name
        if not in_training_folders(package, file):
            continue
        if file not in texts:
            texts[file] = (package.root / file).read_text(encoding="utf-8", errors="replace").splitlines()
        location = item["location"]
        assert isinstance(location, dict)
        row = int(location["row"])
        text = texts[file][row - 1].strip() if row <= len(texts[file]) else ""
        key = Key(package.name, file.as_posix(), str(item["code"]), fingerprint(text))
        found.append(Found(key, row, text, str(item["message"])))
    return found


def training_lines(package: Package, files: list[Path]) -> tuple[int, int]:
    """Number of training files of the package, and of their lines."""
    count = lines = 0
    for file in files:
        if in_training_folders(package, file):
            text = (package.root / file).read_text(encoding="utf-8", errors="replace")
            if is_training_text(text):
                count += 1
                lines += len(text.splitlines())
    return count, lines


def load_judgements(path: Path = JUDGEMENTS) -> dict[Key, str]:
    """Verdict by key; raises PrimerError where an entry is incomplete, doubled or has another verdict."""
    verdicts: dict[Key, str] = {}
    for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("judgement", []), start=1):
        try:
            key = Key(entry["package"], entry["file"], entry["code"], entry["fingerprint"])
            verdict, why = entry["verdict"], entry["why"]
        except KeyError as error:
            raise PrimerError(f"{path.name}: entry {number} lacks {error}") from error
        if verdict not in VERDICTS or not why.strip():
            raise PrimerError(f"{path.name}: entry {number} needs a verdict of {', '.join(VERDICTS)} and one line why")
        if key in verdicts:
            raise PrimerError(f"{path.name}: entry {number} repeats an earlier one ({key.file}, {key.code})")
        verdicts[key] = verdict
    return verdicts


def load_counts(path: Path = COUNTS) -> dict[str, dict[str, int]]:
    """Committed findings by package and code."""
    tables: dict[str, dict[str, int]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return tables


def dump_counts(counts: dict[str, dict[str, int]]) -> str:
    """The text of `counts.toml`."""
    blocks = ["# Findings in the training folders by package and code; run.py --update-counts writes it."]
    for package in sorted(counts):
        rows = [f"{code} = {number}" for code, number in sorted(counts[package].items())]
        blocks.append("\n".join([f"[{package}]", *rows]))
    return "\n\n".join(blocks) + "\n"


def stub(found: Found) -> str:
    """An entry of `judgements.toml` to fill in."""
    key = found.key
    return "\n".join(
        [
            "[[judgement]]",
            *(f"{name} = {json.dumps(getattr(key, name))}" for name in ("package", "file", "code", "fingerprint")),
            f"# line {found.row}: {found.text}",
            f"# {found.message}",
            'verdict = ""',
            'why = ""',
            "",
        ]
    )


def main() -> int:
    """0 when everything agrees, 1 when something differs, 2 when the work could not be done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--unjudged", action="store_true", help="print entries for judgements.toml")
    parser.add_argument("--update-counts", action="store_true", help="rewrite counts.toml")
    arguments = parser.parse_args()
    try:
        packages = [p for p in load_packages() if not arguments.names or p.name in arguments.names]
        if not packages:
            raise PrimerError(f"none of {', '.join(arguments.names)} is in packages.toml")
        judged, committed = load_judgements(), load_counts()
        return _run(packages, judged, committed, arguments)
    except (FetchError, PrimerError, OSError) as error:
        print(f"primer: {error}", file=sys.stderr)
        return 2


def _run(
    packages: list[Package],
    judged: dict[Key, str],
    committed: dict[str, dict[str, int]],
    arguments: argparse.Namespace,
) -> int:
    problems: list[str] = []
    totals: Counter[str] = Counter()
    for package in packages:
        files = package.files()
        count, lines = training_lines(package, files)
        began = time.monotonic()
        try:
            found = lint(package, files)
        except PrimerError as error:
            raise PrimerError(f"{package.name}: {error}") from error
        seconds = time.monotonic() - began
        verdicts = Counter(judged.get(f.key, "unjudged") for f in found)
        totals.update(verdicts)
        totals["lines"] += lines
        counts = dict(sorted(Counter(f.key.code for f in found).items()))
        print(
            f"{package.name:18} {len(files):5} files {count:4} training {lines:7} lines {seconds:6.1f} s  "
            + (" ".join(f"{code}={number}" for code, number in counts.items()) or "silent")
        )
        if arguments.unjudged:
            for one in dict.fromkeys(f.key for f in found if f.key not in judged):
                print(stub(next(f for f in found if f.key == one)))
        if counts != committed.get(package.name, {}) and not arguments.update_counts:
            problems.append(f"{package.name}: counts differ from counts.toml: {committed.get(package.name, {})}")
        committed[package.name] = counts
        keys = {f.key for f in found}
        problems += [
            f"{f.key.package}/{f.key.file}:{f.row}: {f.key.code} {judged.get(f.key, 'unjudged')}: {f.message}"
            for f in found
            if judged.get(f.key, "unjudged") in ("unjudged", "false")
        ]
        problems += [f"judgement matches nothing: {k}" for k in judged if k.package == package.name and k not in keys]
    if arguments.update_counts:
        COUNTS.write_text(dump_counts({name: codes for name, codes in committed.items() if codes}), encoding="utf-8")
    rate = totals["debatable"] * LINES_PER_DEBATABLE / max(totals["lines"], 1)
    print(
        f"{totals['lines']} lines of training files: {totals['true']} true, {totals['debatable']} debatable "
        f"({rate:.2f} per {LINES_PER_DEBATABLE} lines), {totals['false']} false, {totals['unjudged']} unjudged"
    )
    if rate > 1:
        problems.append(f"{rate:.2f} debatable findings per {LINES_PER_DEBATABLE} lines, at most 1 is allowed")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
