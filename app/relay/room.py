"""How many calls this worker can carry at once: what is open must go on, so what is too much is refused at the door."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import gevent

from app.protocol.errors import Problem, RelayError

SPARE = 150
"""Connections kept free, so that health checks and pages are answered when calls aren't."""
MEMORY_SHARE = 0.85
LOOK_S = 1.0
RETRY_S = 2
CGROUP = Path("/sys/fs/cgroup")


class Room:
    """Counts the calls under way, whoever serves them, and looks at the memory that the system grants."""

    def __init__(self, calls: Collection[object], *, group: Path | None = None) -> None:
        self._calls = calls
        self._group = group or _own_group()
        self._crowded = False
        self.most = 0
        """Calls from which on new ones are refused; 0 until the server says how many connections it takes."""

    def start(self, connections: int) -> None:
        """Follow the memory, in this worker's hub."""
        self.most = max(connections - SPARE, connections // 2)
        gevent.spawn(self._look_for_ever)

    @property
    def taken(self) -> int:
        """Calls under way."""
        return len(self._calls)

    def admit(self) -> None:
        """Raise ``RelayError`` (503) for a call too many; the call that asks is among those under way."""
        if self._crowded or 0 < self.most < len(self._calls):
            raise RelayError(Problem.OVERLOADED, "Realms is full at the moment; try again.", retry_after=RETRY_S)

    def look(self) -> None:
        """Find out whether memory runs short. What the kernel can drop at once (cached files) doesn't count."""
        self._crowded = False
        with suppress(OSError, ValueError):
            most = int((self._group / "memory.max").read_text())  # "max" without a limit
            used = int((self._group / "memory.current").read_text())
            told = dict(line.split() for line in (self._group / "memory.stat").read_text().splitlines())
            self._crowded = used - int(told.get("inactive_file", 0)) > MEMORY_SHARE * most

    def _look_for_ever(self) -> None:
        while True:
            self.look()
            gevent.sleep(LOOK_S)


def _own_group() -> Path:
    """Return where the kernel tells of this process's control group (version 2)."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::") and (CGROUP / line[4:] / "memory.max").exists():
                return CGROUP / line[4:]
    return CGROUP
