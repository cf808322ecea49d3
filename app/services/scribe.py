"""Another process of a worker, which writes for it into the database.

To make statements of a thousand records takes as long as to relay some hundred calls, and a Python process does one
thing at a time. So a worker forks before it takes its first connection, hands over what it has gathered, one batch at a
time, and goes on. Whatever the scribe could not write, the worker writes itself: then it also sees why that fails. A
scribe ends with its worker, by the end of the line between them; one that is killed is not replaced.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from io import BufferedRWPair
from typing import Any

import gevent
import gevent.os
import msgspec
import structlog

from app.services.batch import COMMIT_S, Batch, Writer

SIGNALS = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGABRT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
"""What a worker or its whole group may be sent; for a scribe only the end of its line counts."""
LEAVE_S = 2
_SIZE = 4  # bytes that say how long a message is
_decoder = msgspec.msgpack.Decoder(Batch)
log = structlog.get_logger()


class Scribe:
    """Writes batches beside this process once it was started, and until then in it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._line: BufferedRWPair | None = None
        self._busy = False

    def start(self, leave: Callable[[], None]) -> None:
        """Fork; nothing else may run in this process yet. ``leave`` lets the child go of what is the parent's alone."""
        self._writer.about_to_fork()
        ours, theirs = socket.socketpair()
        try:
            child = not gevent.os.fork_and_watch(self._gone)
        except OSError:  # too many processes, or too little memory
            ours.close()
            theirs.close()
            self._gone(None)
            return
        if child:
            ours.close()
            leave()
            _live(self._writer, theirs.makefile("rwb"))
        theirs.close()
        self._line = ours.makefile("rwb")
        ours.close()  # with the line

    def write(self, batch: Batch) -> bool:
        """Write it all, or nothing. Returns whether every claim surely made a new row.

        Raises what the database raises, and ``gevent.Timeout``.
        """
        if self._line is None or self._busy:
            return self._writer.write(batch)
        self._busy = True
        asked = gevent.spawn(
            self._ask, self._line, msgspec.msgpack.encode(batch)
        )  # it waits for the answer although nobody else may
        with gevent.Timeout(COMMIT_S):
            made: bool | None = asked.get()
        if made is None:
            return self._writer.write(msgspec.structs.replace(batch, again=True))
        return made

    def _ask(self, line: BufferedRWPair, message: bytes) -> Any:
        """Return what the scribe answers; None where it could not write, or is no more."""
        try:
            _send(line, message)
            answer = _receive(line)
        except OSError:
            answer = b""
        if not answer:
            self._line = None
            return None
        self._busy = False
        return msgspec.msgpack.decode(answer)

    def _gone(self, _: Any) -> None:
        log.error("scribe_gone")
        self._line = None


def _live(writer: Writer, line: BufferedRWPair) -> None:
    """Be a scribe, to the end of the process."""
    code = 1
    try:
        for name in SIGNALS:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        writer.forked()
        while message := _receive(line):
            _send(line, msgspec.msgpack.encode(_outcome(writer, message)))
        signal.alarm(LEAVE_S)  # a log that nobody takes keeps nobody here
        writer.leaves()
        code = 0
    finally:
        os._exit(code)


def _outcome(writer: Writer, message: bytes) -> bool | None:
    """Return what became of a batch; None where it could not be written, for whatever reason."""
    try:
        return writer.write(_decoder.decode(message))
    except (Exception, gevent.Timeout):  # noqa: BLE001 - the worker writes it then, and sees why it can't
        return None


def _send(line: BufferedRWPair, message: bytes) -> None:
    line.write(len(message).to_bytes(_SIZE))
    line.write(message)
    line.flush()


def _receive(line: BufferedRWPair) -> bytes:
    """Return the next message; nothing where the other end is gone."""
    size = line.read(_SIZE)
    message = line.read(int.from_bytes(size))
    return message if len(size) == _SIZE else b""
