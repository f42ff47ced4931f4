"""Fetch the pinned source distributions of `packages.toml` and unpack them under `.primer/`.

    python tests/primer/fetch.py [NAME ...] [--pin]

The link of each archive is resolved by pip's own finder, so pip's configured index, mirrors, certificates and
credentials apply, and no `setup.py` is ever run. An archive whose sha256 differs from the pin is an error.
`--pin` prints the sha256 of what was downloaded instead of comparing (to add a package).
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
PRIMER = HERE.parents[1] / ".primer"

# Runs in a child: pip's internals are no library, and a fault in them must not look like one of ours.
RESOLVE_AND_DOWNLOAD = """
import sys
from pip._internal.commands.download import DownloadCommand
name, version, folder = sys.argv[1:4]
command = DownloadCommand("download", "")
with command.main_context():
    options, _ = command.parse_args(["--no-binary", ":all:", "--quiet"])
    session = command._build_session(options)
    finder = command._build_package_finder(options, session)
    links = [c.link for c in finder.find_all_candidates(name) if str(c.version) == version and not c.link.is_wheel]
    if not links:
        sys.exit(f"the configured index has no source distribution of {name} {version}")
    link = links[-1]
    response = session.get(link.url_without_fragment, stream=True, headers={"Accept-Encoding": "identity"})
    response.raise_for_status()
    with open(f"{folder}/{link.filename}", "wb") as file:
        for chunk in response.raw.stream(1 << 20, decode_content=False):
            file.write(chunk)
    print(link.filename)
"""


class FetchError(Exception):
    """A package could not be downloaded, verified or unpacked."""


@dataclass(frozen=True)
class Package:
    """One entry of `packages.toml`."""

    name: str
    version: str
    sha256: str
    training: tuple[str, ...]

    @property
    def root(self) -> Path:
        """Where the unpacked distribution lies."""
        return PRIMER / f"{self.name}-{self.version}"

    def files(self) -> list[Path]:
        """Every Python file of the package, relative to `root`, sorted; raises FetchError where it is not fetched."""
        if not self.root.is_dir():
            raise FetchError(f"{self.name} {self.version} is not under {PRIMER}: run tests/primer/fetch.py")
        for folder in self.training:
            if not (self.root / folder).is_dir():
                raise FetchError(f"packages.toml: {self.name} has no folder {folder!r}")
        return sorted(file.relative_to(self.root) for file in self.root.rglob("*.py"))


def load_packages(path: Path = HERE / "packages.toml") -> list[Package]:
    """Read the pinned packages.

    Raises FetchError where an entry lacks a key or has one that is not known.
    """
    packages = []
    for number, entry in enumerate(tomllib.loads(path.read_text(encoding="utf-8"))["package"], start=1):
        try:
            packages.append(Package(**{**entry, "training": tuple(entry["training"])}))
        except (KeyError, TypeError) as error:
            raise FetchError(f"{path.name}: package {number}: {error}") from error
    return packages


def download(package: Package, folder: Path) -> Path:
    """Download the archive of `package` into `folder` with pip's session; raises FetchError."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE_AND_DOWNLOAD, package.name, package.version, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip() or "pip gave no reason").splitlines()[-1]
        raise FetchError(f"{package.name} {package.version}: {reason}")
    return folder / done.stdout.strip().splitlines()[-1]


def sha256_of(archive: Path) -> str:
    """Hex digest of the archive's bytes."""
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def unpack(archive: Path, target: Path) -> None:
    """Unpack only the regular Python and notebook files of `archive` into `target`, without its top folder.

    Links, devices, absolute names and `..` are left out; the result replaces what was at `target`.
    """
    fresh = target.with_name(target.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    for name, data in _members(archive):
        inside = PurePosixPath(*PurePosixPath(name).parts[1:])
        if inside.suffix not in {".py", ".ipynb"} or inside.is_absolute() or ".." in inside.parts:
            continue
        destination = fresh / inside
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_bytes(data)
    if not fresh.is_dir():
        raise FetchError(f"{archive.name} holds no Python file")
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                if not info.is_dir():
                    yield info.filename, opened.read(info)
        return
    with tarfile.open(archive) as opened:
        for member in opened:
            if member.isfile():
                file = opened.extractfile(member)
                if file is not None:
                    yield member.name, file.read()


def fetch(package: Package, *, pin: bool = False) -> None:
    """Bring `package` under `.primer/`, unless it is there already; raises FetchError."""
    stamp = package.root / ".sha256"
    if stamp.is_file() and stamp.read_text(encoding="ascii") == package.sha256:
        return
    archive = download(package, PRIMER / "archives")
    digest = sha256_of(archive)
    if pin:
        print(f'{package.name}: sha256 = "{digest}"')
    elif digest != package.sha256:
        raise FetchError(f"{archive.name}: sha256 is {digest}, packages.toml pins {package.sha256}")
    unpack(archive, package.root)
    stamp.write_text(digest, encoding="ascii")


def main() -> int:
    """Fetch the named packages, or all; 0 when each is in place, 2 when one is not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--pin", action="store_true", help="print digests instead of comparing them")
    arguments = parser.parse_args()
    failed = False
    try:
        packages = load_packages()
        unknown = set(arguments.names) - {p.name for p in packages}
        if unknown:
            raise FetchError(f"not in packages.toml: {', '.join(sorted(unknown))}")
        chosen = [p for p in packages if not arguments.names or p.name in arguments.names]
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 2
    for package in chosen:
        try:
            fetch(package, pin=arguments.pin)
            print(f"{package.name} {package.version}: {len(package.files())} Python files")
        except FetchError as error:
            print(f"fetch: {error}", file=sys.stderr)
            failed = True
    return 2 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
