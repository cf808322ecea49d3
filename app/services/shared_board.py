"""The board of workers that share a Redis: news goes out within milliseconds and is kept for those who come later.

Nothing waits for Redis but a claim, and that not for long. While it is away each worker goes by what it knows itself.
"""

from __future__ import annotations

import os
import time
from itertools import islice
from typing import Any

import gevent
import msgspec
import redis
import structlog
from gevent.event import Event

from app.protocol.recent import Recent
from app.services.board import Alone, Take
from app.services.shared import AWAY, Breaker, channel

PREFIX = "realms:board:"
AT_ONCE = 500
WAITING_MAX = 20_000
CATCH_UP_S = 2.0
"""A worker that begins waits so long for what the others know; calls come to it after that."""
log = structlog.get_logger()


class News(msgspec.Struct, array_like=True):
    """One piece of news; an empty ``text`` says that there is nothing more to know. ``until`` in epoch seconds."""

    sender: str
    topic: str
    key: str
    text: str
    until: float


_news = msgspec.json.Decoder(News)


class SharedBoard:
    """One worker's side of the board."""

    shared = True

    def __init__(self, client: redis.Redis, breaker: Breaker | None = None) -> None:
        self._client = client
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._alone = Alone()
        self._channel = channel(client, "board")
        self._breaker = breaker or Breaker(client)
        self._takes: dict[str, Take] = {}
        self._waiting: Recent[tuple[str, str], News] = Recent(WAITING_MAX)
        self._released: list[str] = []
        self._wake = Event()
        self._caught_up = Event()

    @property
    def away(self) -> bool:
        """Whether Redis didn't answer when it was last asked."""
        return self._breaker.away

    def start(self) -> None:
        """Begin to tell and to listen, in this worker's hub; what the others know is known here afterwards."""
        gevent.spawn(self._tell_for_ever)
        gevent.spawn(self._listen_for_ever)
        self._caught_up.wait(CATCH_UP_S)

    def catch_up(self) -> None:
        """Take in now what the others told before; while Redis is away that is nothing."""
        try:
            self._catch_up()
        except AWAY as error:
            self._breaker.failed(error)

    def follow(self, topic: str, take: Take) -> None:
        """Have the others' news on a topic, those that still hold and those to come."""
        self._takes[topic] = take

    def tell(self, topic: str, key: str, news: bytes, *, life_s: float) -> None:
        """Tell the others; of several pieces about the same only the last has to arrive."""
        self._waiting.keep((topic, key), News(self._name, topic, key, news.decode(), _now() + life_s))
        self._wake.set()

    def claim(self, key: str, *, life_s: float) -> bool:
        """Take what only one worker may have; while Redis is away, what only one call of this worker may."""
        if not self._alone.claim(key, life_s=life_s):
            return False
        if not self._breaker.closed:
            return True
        try:
            taken = self._client.set(f"{PREFIX}claim:{key}", self._name, nx=True, px=int(life_s * 1000) or 1)
        except AWAY as error:
            self._breaker.failed(error)
            return True
        if not taken:
            self._alone.release(key)
        return bool(taken)

    def release(self, key: str) -> None:
        """Give up a claim."""
        self._alone.release(key)
        self._released.append(key)
        self._wake.set()

    # -- telling ------------------------------------------------------------------------------------------------------
    def _tell_for_ever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting or self._released:
                if self._breaker.closed:
                    self._tell_some()
                else:
                    gevent.sleep(0.1)

    def _tell_some(self) -> None:
        told = [self._waiting.pop(name) for name in list(self._waiting)[:AT_ONCE]]
        released, self._released = self._released, []
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for news in told:
                    _put(pipe, news, self._channel)
                for key in released:
                    pipe.delete(f"{PREFIX}claim:{key}")
                pipe.execute()
        except AWAY as error:
            self._breaker.failed(error)
            told += self._waiting.values()
            self._waiting.clear()
            for news in told:
                self._waiting.keep((news.topic, news.key), news)
            self._released = released + self._released

    # -- listening ----------------------------------------------------------------------------------------------------
    def _listen_for_ever(self) -> None:
        while True:
            try:
                with self._listener() as listener:
                    listener.subscribe(self._channel)
                    self._catch_up()
                    self._caught_up.set()
                    while True:
                        message = listener.get_message(timeout=5.0)
                        if message is not None:
                            self._hear(message["data"])
            except AWAY as error:
                self._breaker.failed(error)
                self._caught_up.set()  # there is nobody to wait for
                gevent.sleep(1.0)

    def _listener(self) -> Any:
        return self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]

    def _catch_up(self) -> None:
        """Take in what the others told before."""
        for topic in self._takes:
            names = self._client.scan_iter(f"{PREFIX}{topic}:*", count=1000)
            while some := list(islice(names, AT_ONCE)):
                for told in filter(None, self._client.mget(some)):
                    self._hear(told)

    def _hear(self, told: Any) -> None:
        try:
            news = _news.decode(told)
            take = self._takes.get(news.topic)
            if take is not None and news.sender != self._name and news.until > _now():
                take(news.key, news.text.encode())
        except (msgspec.DecodeError, ValueError):
            log.warning("board_not_understood")  # another release of Realms, for as long as a reload lasts


def _put(pipe: Any, news: News, told_on: str) -> None:
    told = msgspec.json.encode(news)
    name = f"{PREFIX}{news.topic}:{news.key}"
    left_ms = int((news.until - _now()) * 1000)
    if news.text and left_ms > 0:
        pipe.set(name, told, px=left_ms)
    else:
        pipe.delete(name)
    pipe.publish(told_on, told)


def _now() -> float:
    return time.time_ns() / 1e9
