"""Whether this host is to get no new calls: told by a file in its data directory, so that it needs nothing that runs.

``/readyz`` says no while the file is there; calls that come all the same are served. The next start takes it away.
"""

from __future__ import annotations

from pathlib import Path

FLAG = "leaving"


def begin(folder: Path) -> None:
    """Say that this host is on its way out."""
    (folder / FLAG).touch()


def end(folder: Path) -> None:
    """Take that back."""
    (folder / FLAG).unlink(missing_ok=True)


def is_told(folder: Path) -> bool:
    """Return whether it is on its way out."""
    return (folder / FLAG).exists()
