"""An interpreter that has imported torch already: what costs most of a trace is then paid once for all tests.

`interpreter(folder)` writes a program that stands in for `python` there. Each start of it is served by a fork of one
process that has imported torch and done nothing with it; the fork has the program's descriptors, arguments and
environment, and runs the worker as usual. Nothing outlives the test run: the process ends when its standard input does,
a fork when the program that it serves is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path

CLIENT = """#!{python}
import json, os, signal, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
said = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(line, [len(said).to_bytes(4, "little") + said], [0, 1, 2, int(sys.argv[3])])
status = int.from_bytes(line.recv(4) or b"\\x01", "little", signed=True)
if status < 0:
    if status not in (-signal.SIGKILL, -signal.SIGSTOP):
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@cache
def interpreter(folder: Path) -> str:
    """Path of a program to use as `python` for traces of this test run; `folder` must stay until the end of it."""
    program, address = folder / "python", str(folder / "zygote")
    program.write_text(CLIENT.format(python=sys.executable, address=address), "utf-8")
    program.chmod(0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    with listener:
        _ALIVE.append(
            subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno())], stdin=subprocess.PIPE, pass_fds=[listener.fileno()]
            )
        )
    return str(program)


_ALIVE: list[subprocess.Popen[bytes]] = []


def close() -> None:
    """End the process that imported torch, if it was started."""
    for process in _ALIVE:
        process.communicate()
    _ALIVE.clear()
    interpreter.cache_clear()


def serve(listener: socket.socket) -> None:
    """Accept programs to stand in for, until standard input ends."""
    import torch._dynamo  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            return
        line, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            _stand_in(line)
        line.close()


def _stand_in(line: socket.socket) -> None:
    data, descriptors, _, _ = socket.recv_fds(line, 1 << 20, 4)
    while len(data) < 4 + struct.unpack("<I", data[:4])[0]:
        data += line.recv(1 << 20)
    arguments, environment, folder = json.loads(data[4:])
    worker = os.fork()
    if worker == 0:
        line.close()
        _become(arguments, environment, folder, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    while True:
        ended, status = os.waitpid(worker, os.WNOHANG)
        if ended:
            with contextlib.suppress(OSError):
                line.send(os.waitstatus_to_exitcode(status).to_bytes(4, "little", signed=True))
            os._exit(0)
        if select.select([line], [], [], 0.02)[0]:
            os.killpg(worker, signal.SIGKILL)
            os._exit(0)


def _become(arguments: list[str], environment: dict[str, str], folder: str, descriptors: list[int]) -> None:
    os.setsid()
    for target, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, target)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = arguments
    from gradlint.tracer.worker import isolation, session

    # The program we stand in for is the parent's child, not we: `_stand_in` ends us with it.
    isolation._die_with_parent = lambda parent: None
    session.main(arguments[1], descriptors[3])


if __name__ == "__main__":
    sys.path[:] = [str(Path(__file__).resolve().parents[2]), *sys.path[1:]]
    serve(socket.socket(fileno=int(sys.argv[1])))
