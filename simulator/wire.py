"""The last yard: counts the bytes of an answer, slows them, and breaks the connection where the plan says."""

import asyncio
import fcntl
import struct
import termios
from typing import NoReturn

from simulator.http import Connection
from simulator.plan import Plan

TICK = 0.05


class BrokenOffError(Exception):
    """The plan ended the connection."""


async def forever() -> None:
    """Wait for the client to leave, which cancels the exchange."""
    await asyncio.get_running_loop().create_future()


class Wire:
    __slots__ = ("_conn", "_plan", "rate", "sent", "stop_at")

    def __init__(self, conn: Connection, plan: Plan) -> None:
        self._conn = conn
        self._plan = plan
        self.sent = 0
        self.rate = plan.rate if plan.rate_head else 0.0
        self.stop_at = plan.stop_at if plan.stop and plan.stop_at >= 0 else -1

    async def put(self, data: bytes) -> None:
        """Write and wait until the kernel has it; ends the connection once the plan's byte is out."""
        ends = 0 <= self.stop_at <= self.sent + len(data)
        if ends:
            data = data[: self.stop_at - self.sent]
        if self.rate:
            await self._slowly(data)
        elif data:
            self._conn.write(data)
            self.sent += len(data)
            await self._conn.drain()
        if ends:
            await self.stop()

    async def stop(self) -> NoReturn:
        how = self._plan.stop
        if how == "half_close":
            self._conn.half_close()
            await forever()
        if how == "reset":
            await self._delivered()
            self._conn.reset()
        else:
            self._conn.transport.close()
        raise BrokenOffError

    async def _slowly(self, data: bytes) -> None:
        step = max(1, int(self.rate * TICK))
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            self._conn.write(piece)
            self.sent += len(piece)
            await self._conn.drain()
            await asyncio.sleep(len(piece) / self.rate)

    async def _delivered(self) -> None:
        """A reset throws away what the kernel still holds: wait until the other side has acknowledged it."""
        sock = self._conn.transport.get_extra_info("socket")
        while not self._conn.lost:
            raw = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
            if struct.unpack("i", raw)[0] == 0:
                return
            await asyncio.sleep(0.001)
