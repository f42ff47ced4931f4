"""Start the worker in the user's interpreter, bound it, isolate it and read its record back. Never imports torch.

`trace` climbs the ladder (see `gradlint.tracer.ladder`); `attempt` is one start of the script on one rung.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gradlint.errors import MissingExtraError, TraceError
from gradlint.tracer.schema import TraceRecord

_WORKER = Path(__file__).parent / "worker"
_KEPT_OUTPUT = 20_000
_GRACE = 5.0
_MARGIN = 3.0
_REPORT = 30.0
_POLL = 0.1
_LIMITS_EVERY = 1.0
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """What bounds and directs a trace.

    `timeout` is wall-clock seconds for one attempt, `memory` bytes of resident memory for the whole process tree,
    `measure` names extra measurements ("curvature", "same-batch"), `steps` the OptimizerSteps to see, `awaited` what
    the run goes on for after them, up to a third of the timeout: "evaluation" (a backward after a switch to eval mode),
    "state-dict" (an OptimizerStep after a call of `state_dict`).
    """

    python: str | None = None
    device: str = "auto"
    steps: int = 3
    timeout: float = 120.0
    memory: int = 8 << 30
    setup: Path | None = None
    inputs: str | None = None
    in_place: bool = False
    run: bool = True
    verify: bool = False
    network: bool = False
    seed: int = 0
    graph_rounds: int = 2
    sample_limit: int = 4096
    backward_limit: int = 64
    processes: int = 64
    threads: int = 0
    measure: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    input_shape: tuple[int, ...] | None = None
    input_dtype: str | None = None
    target: str | None = None
    project: Path | None = None


def _silent(_: str) -> None: ...


def trace(
    script: Path,
    args: Sequence[str] = (),
    options: TraceOptions | None = None,
    tell: Callable[[str], None] = _silent,
) -> TraceRecord:
    """Get one training step out of a script and bring back what was measured.

    `tell` hears a sentence before each further attempt.
    Raises TraceError only where nothing could be started (no such script, interpreter or platform); whatever happens
    inside the script ends as the record's `error`.
    """
    from gradlint.tracer.ladder import climb

    options = options or TraceOptions()
    script = script.resolve()
    if not script.is_file():
        raise TraceError(f"{script}: no such script")
    if options.setup is not None and not options.setup.is_file():
        raise TraceError(f"{options.setup}: no such setup file")
    if os.name != "posix":
        raise TraceError("the tracer needs a POSIX system: it bounds the script by process groups and pipes")
    try:
        import psutil  # noqa: F401
    except ImportError:
        raise MissingExtraError("tracing needs psutil: install gradlint-torch[trace]") from None
    return climb(script, list(args), options, tell)


def interpreter(script: Path, chosen: str | None) -> str:
    """The interpreter to use: the user's choice, else a virtual environment beside the project, else ours.

    Raises TraceError when the chosen one does not exist.
    """
    if chosen is not None:
        import shutil

        found = shutil.which(chosen)
        if found is None:
            raise TraceError(f"{chosen}: no such interpreter")
        return os.path.abspath(found)
    for folder in script.parents:
        for name in (".venv", "venv"):
            candidate = folder / name / "bin" / "python"
            if candidate.is_file():
                return str(candidate)
        if (folder / ".git").exists():
            break
    return sys.executable


def attempt(request: dict[str, Any], python: str, options: TraceOptions) -> dict[str, Any]:
    """One bounded run of the worker; always returns a record, if only with an error."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gradlint-request-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(request), encoding="utf-8")
        with _subreaper():
            result = _Child(python, path, options).run()
    result["elapsed"] = time.monotonic() - started
    return result


class _Child:
    """The worker process, its output, its limits and its end."""

    def __init__(self, python: str, request: Path, options: TraceOptions) -> None:
        self.options = options
        self.token = uuid.uuid4().hex
        self.output = {"stdout": _Tail(), "stderr": _Tail()}
        self.seen: dict[int, float] = {}
        self.reason: tuple[str, str] | None = None
        read, write = os.pipe()
        os.set_inheritable(write, True)
        master, slave = pty.openpty()
        _size(slave)
        # Whoever reads from standard input gets the end of it at once, in place of waiting for ever.
        os.write(master, b"\x04" * 8)
        environment = {**os.environ, "GRADLINT_TRACE": self.token, "PYTHONHASHSEED": "0"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if options.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        try:
            self.process = subprocess.Popen(
                [python, str(_WORKER), str(request), str(write)],
                stdin=slave,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(write,),
                start_new_session=True,
                env=environment,
            )
        except OSError as problem:
            os.close(read)
            os.close(master)
            raise TraceError(f"{python} could not be started: {problem.strerror}") from None
        finally:
            os.close(write)
            os.close(slave)
        self.pipe, self.master = read, master

    def run(self) -> dict[str, Any]:
        readers = [
            threading.Thread(target=tail.drain, args=(stream,), daemon=True)
            for tail, stream in (
                (self.output["stdout"], self.process.stdout),
                (self.output["stderr"], self.process.stderr),
            )
        ]
        for reader in readers:
            reader.start()
        try:
            data = self._read()
            self._wait(_GRACE)
        finally:
            self._kill_tree()
            os.close(self.pipe)
            os.close(self.master)
        for reader, stream in zip(readers, (self.process.stdout, self.process.stderr), strict=True):
            reader.join(2.0)
            if stream is not None and not reader.is_alive():
                stream.close()
        return self._record(data)

    def _read(self) -> bytes:
        """Everything the worker sends, until it closes the pipe or a limit ends it.

        A worker that has begun to put its record together has half a minute for that, whatever the script took.
        """
        deadline = time.monotonic() + self.options.timeout
        look = 0.0
        parts: list[bytes] = []
        while True:
            ready, _, _ = select.select([self.pipe], [], [], _POLL)
            if ready:
                part = os.read(self.pipe, 1 << 20)
                if not part:
                    return b"".join(parts)
                if not parts:
                    deadline = max(deadline, time.monotonic() + _REPORT)
                parts.append(part)
                continue
            self._swallow_terminal()
            if self.process.poll() is not None and not self._pipe_ready():
                return b"".join(parts)
            if time.monotonic() >= look:
                self.reason = self._over_limit(deadline)
                look = time.monotonic() + _LIMITS_EVERY
            if self.reason is not None:
                return b"".join(parts)

    def _pipe_ready(self) -> bool:
        return bool(select.select([self.pipe], [], [], 0)[0])

    def _swallow_terminal(self) -> None:
        with contextlib.suppress(OSError):
            while select.select([self.master], [], [], 0)[0]:
                if not os.read(self.master, 4096):
                    break

    def _over_limit(self, deadline: float) -> tuple[str, str] | None:
        if time.monotonic() > deadline:
            return "timeout", f"the script did not come to an end within {self.options.timeout:g} s"
        members = self._members()
        if len(members) > self.options.processes:
            return "processes", f"the script started more than {self.options.processes} processes"
        resident = 0
        for member in members:
            with contextlib.suppress(Exception):
                resident += member.memory_info().rss
        if resident > self.options.memory:
            return "memory", f"the script used more than {self.options.memory / (1 << 30):.1f} GiB of memory"
        return None

    def _members(self) -> list[Any]:
        """Processes of the tree: descendants of the worker, and orphans that came to us from it."""
        import psutil

        found: dict[int, Any] = {}
        with contextlib.suppress(psutil.Error):
            worker = psutil.Process(self.process.pid)
            found[worker.pid] = worker
            for child in worker.children(recursive=True):
                found[child.pid] = child
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process().children(recursive=True):
                if child.pid in found or not self._ours(child):
                    continue
                found[child.pid] = child
        for pid, member in found.items():
            with contextlib.suppress(psutil.Error):
                self.seen[pid] = member.create_time()
        return list(found.values())

    def _ours(self, process: Any) -> bool:
        import psutil

        with contextlib.suppress(psutil.Error, OSError):
            if self.seen.get(process.pid) == process.create_time():
                return True
            if os.getsid(process.pid) == self.process.pid:
                return True
            return bool(process.environ().get("GRADLINT_TRACE") == self.token)
        return False

    def _wait(self, seconds: float) -> None:
        """Let the script's own clean-up finish, for a moment."""
        if self.reason is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)

    def _kill_tree(self) -> None:
        """Stop every process of the tree first, so that none can fork on, then kill them, until none is left."""
        import psutil

        self.exit_code = self.process.poll()
        for _ in range(50):
            members = [m for m in self._members() if _alive(m)]
            if not members:
                break
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGSTOP)
            for member in members:
                with contextlib.suppress(psutil.Error):
                    member.suspend()
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)
            for member in members:
                with contextlib.suppress(psutil.Error):
                    member.kill()
            for member in members:
                if member.pid != self.process.pid:
                    with contextlib.suppress(OSError):
                        os.waitpid(member.pid, os.WNOHANG)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.2)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2.0)
        for pid in self.seen:
            if pid != self.process.pid:
                with contextlib.suppress(OSError):
                    os.waitpid(pid, os.WNOHANG)
        if self.exit_code is None:
            self.exit_code = self.process.returncode

    def _record(self, data: bytes) -> dict[str, Any]:
        record: dict[str, Any] = {}
        if data.strip():
            try:
                record = restored(json.loads(data))
            except ValueError:
                record = {}
        if not record or (self.reason is not None and record.get("error") is None and not record.get("steps")):
            kind, message = self.reason or self._ending()
            record["error"] = {"kind": kind, "message": message, "place": None}
        record["stdout"] = self.output["stdout"].text()
        record["stderr"] = self.output["stderr"].text()
        return record

    def _ending(self) -> tuple[str, str]:
        code = self.exit_code
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
            if name == "SIGKILL":
                return "memory", "the script was killed by the system, most likely for want of memory"
            return "crash", f"the script was ended by {name}"
        last = (self.output["stderr"].text().strip().splitlines() or [""])[-1]
        return "protocol", f"the worker ended with status {code} and sent nothing: {last[:300]}"


class _Tail:
    """The last characters of a stream."""

    def __init__(self) -> None:
        self._data = bytearray()

    def drain(self, stream: IO[bytes]) -> None:
        while True:
            part = os.read(stream.fileno(), 1 << 16)
            if not part:
                return
            self._data += part
            if len(self._data) > 4 * _KEPT_OUTPUT:
                del self._data[: -2 * _KEPT_OUTPUT]

    def text(self) -> str:
        return bytes(self._data).decode("utf-8", "replace")[-_KEPT_OUTPUT:]


def restored(value: Any) -> Any:
    """JSON has no NaN and no infinity: turn the strings that stand for them back into floats."""
    if isinstance(value, dict):
        return {key: restored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [restored(item) for item in value]
    if value in ("nan", "inf", "-inf"):
        return float(value)
    return value


def _alive(process: Any) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _size(descriptor: int) -> None:
    """Scripts ask the terminal for its size."""
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))


@contextlib.contextmanager
def _subreaper() -> Iterator[None]:
    """Orphans of the traced script come to this process meanwhile, so that none is lost (Linux)."""
    if sys.platform != "linux":
        yield
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    before = ctypes.c_int(0)
    libc.prctl(37, ctypes.byref(before), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)
