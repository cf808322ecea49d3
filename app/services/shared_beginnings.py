"""Begins a count that several workers share: one asks the sums, once each has brought in what it has under way.

Meanwhile no worker commits a record, for at most ``STILL_S``; who doesn't answer in time brings its calls in later.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

import gevent
import msgspec
import redis
import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.services.counters import Beginning, Begun, Calls, Count, Want
from app.services.counting_scripts import JOIN
from app.services.shared import AWAY, channel

BEGINS = "realms:begins:"
JOINED = "realms:joined:"
BEGINS_S = 2
"""So long one worker asks alone; if it dies, another does after that."""
ANSWER_S = 0.4
STILL_S = 0.5
AGAIN_S = 0.5
"""After that calls are looked for again that were being admitted, by older limits, when a count began."""
LOOK_S = 0.01
log = structlog.get_logger()
_question = msgspec.json.Decoder(tuple[str, Begun])


class SharedBeginnings:
    """One worker's part in it."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        prefix: str,
        giving: AbstractContextManager[object],
        hold: Callable[[str, Want], int],
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._giving = giving
        self._hold = hold
        self._join: Any = client.register_script(JOIN)
        self.channel = channel(client, "begin")
        self.calls: Calls | None = None

    def base(self, count: Count, *, listens: bool) -> int | None:
        """Return what was used before anybody counted; None while another finds that out."""
        base = count.base
        if not isinstance(base, Beginning) or self.calls is None:
            return base() if base is not None else 0
        name = BEGINS + self._prefix + count.key
        if not self._client.set(name, 0, nx=True, ex=BEGINS_S):
            gevent.sleep(LOOK_S)
            return None
        question = uuid.uuid4().hex, base.begun
        asked: Any = self._client.publish(self.channel, msgspec.json.encode(question))
        if not listens:
            gevent.spawn(self._bring_in, *question)
        self._wait(lambda: int(self._client.get(JOINED + question[0]) or 0) >= asked + (not listens), ANSWER_S)
        return base()

    def heard(self, question: str) -> None:
        """Bring in what is under way here."""
        gevent.spawn(self._bring_in, *_question.decode(question))

    def _bring_in(self, question: str, begun: Begun) -> None:
        if self.calls is None:
            return
        try:
            self.calls.refresh()
            tokens = self.calls.tokens(begun)
            with self.calls.still():
                self._tell(question, begun, tokens, ended=True)
                self._wait(lambda: not self._client.exists(BEGINS + self._prefix + begun.key), STILL_S)
            gevent.sleep(AGAIN_S)
            self._tell(question, begun, tokens, ended=False)
        except (SQLAlchemyError, *AWAY) as error:
            log.warning("calls_not_brought_in", error=type(error).__name__)

    def _tell(self, question: str, begun: Begun, tokens: Any, *, ended: bool) -> None:
        assert self.calls is not None  # noqa: S101 - looked at before
        with self._giving:  # or a call would be given back before it holds anything
            brought = self.calls.bring_in(begun, tokens, ended=ended)
            held = [(call_id, want[1], self._hold(call_id, want)) for call_id, want in brought.running]
            if held or ended:
                until = max((each[2] for each in held), default=0)
                told = chain.from_iterable((call_id, amount) for call_id, amount, _ in held)
                self._join([self._prefix + begun.key], [until, question, brought.ended, *told])

    def _wait(self, done: Callable[[], object], seconds: float) -> None:
        until = time.monotonic() + seconds
        while not done() and time.monotonic() < until:
            gevent.sleep(LOOK_S)
