"""Ports for servers that begin to listen later, also minutes later."""

import fcntl
import os
import secrets
import socket
import tempfile
from pathlib import Path

MANY = 12_000
_held: list[int] = []
"""Locks of this process; the kernel lets them go when it ends, however it ends."""


def free_port() -> int:
    """Return a port that nobody listens at, and that neither an outgoing connection nor another test is given."""
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = outgoing - 1 - secrets.randbelow(MANY)
        if _claim(port) and _free(port):
            return port


def _claim(port: int) -> bool:
    folder = Path(tempfile.gettempdir()) / "realms-test-ports"
    folder.mkdir(exist_ok=True)
    handle = os.open(folder / str(port), os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return False
    _held.append(handle)
    return True


def _free(port: int) -> bool:
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
