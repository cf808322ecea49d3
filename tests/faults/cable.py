"""A cable between two networks that is long and loses packets: `python -m tests.faults.cable PID LOSS DELAY_S`.

Two TUN devices, `here` in the network that this is started in and `there` in the one of process PID; what the kernel
sends into one comes out of the other a while later, or never. So it is the kernels' own TCP that has to cope, also
where the kernel brings no netem. Prints `up`, and at its end how many packets it carried and lost.
"""

import ctypes
import fcntl
import json
import os
import random
import select
import signal
import struct
import sys
import time
from collections import deque
from pathlib import Path

_TUNSETIFF, _TUN, _NO_PACKET_INFO = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter(pid: int) -> None:
    """Let this thread live in the network of a process; sockets that it made before stay where they are."""
    with Path(f"/proc/{pid}/ns/net").open("rb") as network:
        if _libc.setns(network.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no way into the other network")


def _device(name: str) -> int:
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN | _NO_PACKET_INFO))
    return handle


class Cable:
    """Both ends, and the packets on their way."""

    def __init__(self, near: int, far: int, *, loss: float, delay_s: float) -> None:
        self._other = {near: far, far: near}
        self._loss, self._delay_s = loss, delay_s
        self._under_way: deque[tuple[float, int, bytes]] = deque()
        self._random = random.Random(20)
        self.carried = self.lost = 0

    def carry(self) -> None:
        """Take what came in, and bring what is due; returns within a moment."""
        due = self._under_way[0][0] - time.monotonic() if self._under_way else 0.1
        ready, _, _ = select.select(list(self._other), [], [], max(0.0, min(due, 0.1)))
        for end in ready:
            if self._random.random() < self._loss:
                os.read(end, 65536)
                self.lost += 1
            else:
                self._under_way.append((time.monotonic() + self._delay_s, self._other[end], os.read(end, 65536)))
        while self._under_way and self._under_way[0][0] <= time.monotonic():
            _, end, packet = self._under_way.popleft()
            try:
                os.write(end, packet)
                self.carried += 1
            except OSError:  # that end isn't up yet
                self.lost += 1


def main(pid: int, loss: float, delay_s: float) -> None:
    near = _device("here")
    enter(pid)
    cable, over = Cable(near, _device("there"), loss=loss, delay_s=delay_s), []
    signal.signal(signal.SIGTERM, lambda *_: over.append(True))
    print("up", flush=True)
    while not over:
        cable.carry()
    print(json.dumps([cable.carried, cable.lost]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
