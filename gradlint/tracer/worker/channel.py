"""The record's way home: JSON over a pipe that nothing else writes to."""

from __future__ import annotations

import json
import math
import os
import threading
from typing import Any


def plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: they travel as "nan", "inf", "-inf"."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (str, int)) or value is None:
        return value
    return str(value)


class Channel:
    """Writes one record, once, from whichever thread comes first."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._process = os.getpid()
        self.sent = False

    def announce(self) -> None:
        """Tell the parent that a record is being put together: JSON may begin with a blank."""
        with self._lock:
            if not self.sent and os.getpid() == self._process:
                os.write(self._descriptor, b" ")

    def send(self, record: dict[str, Any]) -> None:
        """Send and close; later calls, and calls from forked children, do nothing."""
        with self._lock:
            if self.sent or os.getpid() != self._process:
                return
            self.sent = True
            data = json.dumps(plain(record), allow_nan=False).encode()
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.close(self._descriptor)
