"""Bound this process before any user code runs: die with the parent, no network, limited memory.

Every step that the platform refuses is told in the returned assumptions instead of failing the trace.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
import sys
from typing import Any

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1


def isolate(network: bool, memory: int | None, processes: int | None, parent: int) -> list[dict[str, Any]]:
    """Apply the limits; `memory` in bytes (address space, skipped where CUDA needs it), `processes` a count."""
    _die_with_parent(parent)
    assumptions = []
    if not network and not _cut_network():
        message = "the network could not be cut off on this platform: the script may have used it"
        assumptions.append({"kind": "network", "message": message, "affects": []})
    _limit(memory, processes)
    return assumptions


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)


def _cut_network() -> bool:
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWNET) != 0:
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            return False
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{user} {user} 1")
            _write("/proc/self/gid_map", f"{group} {group} 1")
        except OSError:
            pass
    _raise_loopback()
    return True


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _raise_loopback() -> None:
    """A new network namespace has `lo` down, and gloo needs it."""
    import fcntl

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            request = struct.pack("16sh14x", b"lo", 0)
            answer = fcntl.ioctl(control, _SIOCGIFFLAGS, request)
            flags = struct.unpack("16sh14x", answer)[1]
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
    except OSError:
        pass


def _limit(memory: int | None, processes: int | None) -> None:
    import resource

    for kind, value in ((resource.RLIMIT_AS, memory), (getattr(resource, "RLIMIT_NPROC", None), processes)):
        if kind is None or value is None:
            continue
        _, hard = resource.getrlimit(kind)
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
