"""A bound on what a process may take of memory from now on, kept by the kernel: who goes beyond it is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

GROUPS = Path("/sys/fs/cgroup")
KINDS = ((GROUPS, "memory.max", "memory.events"), (GROUPS / "memory", "memory.limit_in_bytes", "memory.oom_control"))
"""Where a group is made, what its limit is called and where its kills are counted: of the second version, the first."""


class Bound:
    """A control group; what a process had before it came in isn't counted."""

    def __init__(self, folder: Path, events: str) -> None:
        self._folder = folder
        self._events = events

    def take_in(self, pid: int) -> None:
        (self._folder / "cgroup.procs").write_text(str(pid))

    @property
    def kills(self) -> int:
        """How many processes the kernel has killed here for their memory."""
        counted = dict(line.split() for line in (self._folder / self._events).read_text().splitlines())
        return int(counted["oom_kill"])


@contextmanager
def bound(megabytes: int) -> Iterator[Bound]:
    """Make one; skips where that isn't allowed."""
    for parent, limit, events in KINDS:
        folder = parent / f"realms-tests-{os.getpid()}"
        try:
            folder.mkdir()
            with (folder / limit).open("r+") as file:  # never made: it is there, or this is no group
                file.write(str(megabytes * 1024 * 1024))
        except OSError:
            with suppress(OSError):
                folder.rmdir()
            continue
        try:
            yield Bound(folder, events)
        finally:
            folder.rmdir()
        return
    pytest.skip("the kernel can't be told to bound memory here: nothing was shown of its kills")
