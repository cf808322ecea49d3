"""What has been used of each limit, where several workers serve: numbers in Redis, each change one atomic script.

Far from a limit a worker takes a chunk along, and admits calls from it without asking; near a limit each call asks,
and chunks are called back, so that exactly as many are admitted as are allowed. What a call or a worker holds is kept
under a lease that its worker renews, so that a dead worker's reservations fall away. While Redis is away each worker
holds calls to its share of the limits by itself, and tells what they cost once it is back.
"""

from __future__ import annotations

import time
import uuid
from itertools import chain
from typing import Any

import gevent
import redis
from gevent.event import Event

from app.protocol.limit import REQUESTS
from app.services.chunks import Chunks
from app.services.counters import Count, Full, Interim, Settled, Want
from app.services.counting_scripts import KEEP_S, RESTORE, SWEEP, SWEPT_AT_ONCE, TAKE, TELL
from app.services.shared import AWAY, Breaker, channel
from app.services.shared_beginnings import SharedBeginnings
from app.services.shared_givings import SharedGivings

PREFIX = "realms:limit:"
LEASES = "realms:leases"
LEASE_S = 25
RENEW_S = 10.0
SWEEP_S = 2.0
"""What dead workers held is looked for so often: it is free again half a minute after they died."""
TELL_S = 0.5
"""What chunks come to is told so often."""
WAIT_S = 0.5
"""A call waits so long for chunks that were called back, and for what calls that have just ended give back."""
VAIN_S = 1.0
"""So long after a call waited in vain nobody waits for the same limit again."""
RETRY_S = 0.005
RETRY_MAX_S = 0.08
LISTEN_S = 60.0
LISTEN_AGAIN_S = 1.0


class SharedCounters(Interim):
    """Counts in Redis; in this process, by the worker's share, while Redis is away."""

    def __init__(self, client: redis.Redis, *, share: int, breaker: Breaker | None = None) -> None:
        super().__init__(share=share)
        self._client = client
        self._take: Any = client.register_script(TAKE)
        self._tell: Any = client.register_script(TELL)
        self._restore: Any = client.register_script(RESTORE)
        self._sweep: Any = client.register_script(SWEEP)
        self._breaker = breaker or Breaker(client)
        self._live: dict[str, dict[str, Want]] = {}
        """What the calls under way have reserved, by their ids and by key, but for those admitted from chunks."""
        self._givings = SharedGivings(client, prefix=PREFIX, done=lambda call_id: self._live.pop(call_id, None))
        self._vain: dict[str, float] = {}
        """When a call last waited for a limit in vain, by its key."""
        self._beginnings = SharedBeginnings(client, prefix=PREFIX, giving=self._givings.lock, hold=self._hold)
        self._wake = Event()
        self._name = f"worker-{uuid.uuid4().hex}"
        self._recall = channel(client, "recall")
        self._chunks = Chunks()
        self._listening, self._holds_until = False, 0.0

    def start(self) -> None:
        """Begin to give back, to renew and to listen, in this worker's hub."""
        self._beginnings.calls = self.calls
        gevent.spawn(self._work_for_ever)
        gevent.spawn(self._listen_for_ever)

    def take(self, call_id: str, wants: list[Want]) -> list[int]:
        if self._breaker.closed:
            if self._listening and time.monotonic() < self._holds_until:
                held = self._chunks.admit(call_id, wants)
                if held is not None:
                    return held
            try:
                return self._take_shared(call_id, wants)
            except AWAY as error:
                self._breaker.failed(error)
        return super().take(call_id, wants)

    def give(self, call_id: str, settled: Settled, *, later: bool = False) -> None:
        later = later and self._givings.have_room
        if later or call_id in self._live:
            settled = self._give_itself(call_id, settled, later=later)
        if call_id in self._chunks:
            if self._chunks.settle(call_id, settled):
                self._wake.set()
        elif settled:
            super().give(call_id, settled)
            for (count, _), used in settled:
                if count.rule.money:
                    self._chunks.spend(count, used)

    def _give_itself(self, call_id: str, settled: Settled, *, later: bool) -> Settled:
        """Give back in Redis what a call holds itself, ``later`` all that is money; return the rest."""
        leased = self._live.get(call_id, {})
        kept = [each for each in settled if each[0][0].rule.money] if later else []
        others = [each for each in settled if each not in kept]
        held = [each for each in others if each[0][0].key in leased]
        self._givings.add(call_id, kept + held, keep=[_keep(c.span.end, _now_ms()) for (c, _), _ in kept])
        self._wake.set()
        if apart := [each for each in kept if each[0][0].key not in leased]:
            if call_id in self._chunks:
                self._chunks.part(apart)
            else:
                super().give(call_id, apart, later=True)
        return [each for each in others if each[0][0].key not in leased]

    def complete(self, call_id: str, cost: int) -> None:
        super().complete(call_id, cost)
        self._givings.complete(call_id, cost)
        self._wake.set()

    def peek(self, keys: list[str]) -> list[int | None]:
        if self._breaker.closed and keys:
            try:
                told: Any = self._client.mget([PREFIX + key for key in keys])
                return [
                    None if used is None else int(used) - self._free(key) for key, used in zip(keys, told, strict=True)
                ]
            except AWAY as error:
                self._breaker.failed(error)
        return super().peek(keys)

    def _free(self, key: str) -> int:
        """Return what workers hold of it and nobody uses, as last told."""
        held: Any = self._client.hvals(f"realms:free:{PREFIX}{key}")
        return sum(int(free) for free in held)

    def _take_shared(self, call_id: str, wants: list[Want]) -> list[int]:
        known: dict[int, int] = {}
        until, pause = 0.0, RETRY_S
        while True:
            told = self._ask(call_id, wants, known, again=until > 0)
            if told[0] == "ok":
                if leased := {want[0].key: want for want in wants if _falls_away(want[0])}:
                    self._live[call_id] = leased
                return [int(used) for used in told[1 : len(wants) + 1]]
            want = wants[told[1] - 1]
            if told[0] == "base":
                base = self._beginnings.base(want[0], listens=self._listening)
                if base is not None:
                    known[told[1] - 1] = base
                continue
            now = time.monotonic()
            until = until or now + WAIT_S
            if now >= until:
                self._vain[want[0].key] = now
            if now >= until or (told[0] == "full" and not self._may_come_back(want[0], now)):
                raise Full(want, int(told[2]))
            gevent.sleep(pause)
            pause = min(2 * pause, RETRY_MAX_S)

    def _may_come_back(self, count: Count, now: float) -> bool:
        """Whether to wait for what a call that has just ended gives back; not again where that was in vain just now."""
        return _falls_away(count) and self._vain.get(count.key, -VAIN_S) <= now - VAIN_S

    def _ask(self, call_id: str, wants: list[Want], known: dict[int, int], *, again: bool) -> Any:
        """Ask Redis, and take in the chunks that come with its answer; one who waits for others' asks for none."""
        asks, since = self._listening and not again, time.monotonic()
        chunks = self._chunks.ask(wants) if asks else [0] * len(wants)
        try:
            told = self._take(
                [PREFIX + count.key for count, _ in wants], self._arguments(call_id, wants, known, chunks)
            )
        except AWAY:
            self._chunks.lost(wants)
            raise
        finally:
            if asks:
                self._chunks.answered(wants)
        if asks and told[0] == "ok":
            for number, (count, _) in enumerate(wants, 1):
                granted = int(told[len(wants) + number])
                self._chunks.granted(count, granted, known=int(told[number]))
                if granted:
                    self._holds_until = max(self._holds_until, since + LEASE_S - RENEW_S)
        return told

    def _arguments(self, call_id: str, wants: list[Want], known: dict[int, int], chunks: list[int]) -> list[Any]:
        now = _now_ms()
        arguments: list[Any] = [call_id, now + LEASE_S * 1000, self._name, self._recall]
        for number, ((count, amount), chunk) in enumerate(zip(wants, chunks, strict=True)):
            base: Any = known.get(number, 0 if count.base is None else "")
            keep = _keep(count.span.end, now)
            arguments += [amount, count.rule.most, base, keep, int(_falls_away(count)), chunk]
        return arguments

    def _work_for_ever(self) -> None:
        renewed = looked = swept = 0.0
        while True:
            self._wake.wait(TELL_S)
            self._wake.clear()
            if not self._breaker.closed:
                continue
            self.over()
            now = time.monotonic()
            try:
                self._givings.give_back()
                if all_ := now - looked >= TELL_S:
                    looked = now
                self._tell_chunks(all_=all_)
                if now - renewed >= RENEW_S:
                    renewed = now
                    self._renew()
                if now - swept >= SWEEP_S:
                    swept = now
                    self._take_back()
            except AWAY as error:
                self._breaker.failed(error)

    def _hold(self, call_id: str, want: Want) -> int:
        """Take what a call holds as a count begins under its lease; return when that ends, in ms since the epoch."""
        self._live.setdefault(call_id, {})[want[0].key] = want
        return _now_ms() + LEASE_S * 1000

    def _tell_chunks(self, *, all_: bool) -> None:
        """Tell what has changed; what others need and nobody uses here goes back with that."""
        if not self._listening or time.monotonic() >= self._holds_until:
            self._chunks.let_go()
        told = list(self._chunks.due(time.time_ns() / 1e9, all_=all_))
        if not told:
            return
        now, known = _now_ms(), None
        arguments: list[Any] = [self._name, now + LEASE_S * 1000]
        for _key, chunk in told:
            held, falls = chunk.live + chunk.free, int(chunk.falls_away)
            arguments += [chunk.spent, held, chunk.free, falls, _keep(chunk.end, now), chunk.name]
        self._chunks.tell(told)
        try:
            known = self._tell([PREFIX + key for key, _ in told], arguments)
        finally:
            self._chunks.heard(told, known)

    def _renew(self) -> None:
        since, now = time.monotonic(), _now_ms()
        until = now + LEASE_S * 1000
        live = [self._name, *self._live]
        known: Any = self._client.zmscore(LEASES, live)
        self._client.zadd(LEASES, dict.fromkeys(live, until), xx=True)
        if known[0] is None:
            self._chunks.let_go()
        else:
            self._holds_until = since + LEASE_S - RENEW_S
        for call_id in (call_id for call_id, score in zip(live[1:], known[1:], strict=True) if score is None):
            self._reserve_again(call_id, now, until)

    def _take_back(self) -> None:
        """Take back what dead workers held, portion by portion until there is no more of it."""
        now = time.monotonic()
        self._vain = {key: at for key, at in self._vain.items() if at > now - VAIN_S}
        while self._sweep([], [_now_ms()]) >= SWEPT_AT_ONCE:
            pass

    def _reserve_again(self, call_id: str, now: int, until: int) -> None:
        """A Redis that was emptied or started anew, or others that thought us dead, have forgotten a call."""
        held = self._live.get(call_id, {}).values()  # it may have ended meanwhile
        if held:
            told = ((PREFIX + c.key, amount, _keep(c.span.end, now), int(not c.rule.money)) for c, amount in held)
            self._restore([], [call_id, until, *chain.from_iterable(told)])

    def _listen_for_ever(self) -> None:
        """Hear which chunks others call back; while nobody can be heard none are held."""
        while True:
            try:
                pubsub: Any = self._client.pubsub  # its types are unknown
                with pubsub(ignore_subscribe_messages=True) as recalls:
                    recalls.subscribe(self._recall, self._beginnings.channel)
                    self._listening = True
                    while True:
                        message: Any = recalls.get_message(timeout=LISTEN_S)
                        if message is None:
                            gevent.sleep(RETRY_S)
                        elif message["channel"] == self._beginnings.channel:
                            self._beginnings.heard(message["data"])
                        else:
                            self._chunks.recall(message["data"].removeprefix(PREFIX))
                            self._wake.set()
            except AWAY:
                self._listening = False
                gevent.sleep(LISTEN_AGAIN_S)


def _keep(end: int | None, now_ms: int) -> int:
    return KEEP_S if end is None else max(1, end - now_ms // 1000 + 60)


def _falls_away(count: Count) -> bool:
    """Whether a reservation ends with its call: a request that was made stays made."""
    return count.rule.unit != REQUESTS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
