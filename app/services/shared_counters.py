"""What has been used of each limit, where several workers serve: numbers in Redis, each change one atomic script.

What a call holds is kept under a lease that its worker renews, so that a dead worker's reservations fall away. While
Redis is away each worker holds calls to its share of the limits by itself.
"""

from __future__ import annotations

import time
from itertools import chain
from typing import Any

import gevent
import redis
from gevent.event import Event

from app.protocol.limit import Measure
from app.services.counters import Counters, Full, Want
from app.services.shared import AWAY, Breaker

PREFIX = "realms:limit:"
LEASES = "realms:leases"
LEASE_S = 30
RENEW_S = 10.0
KEEP_S = 86_400
"""How long a number without an end is kept after it was last used; what was spent is then asked of the database."""

TAKE = """
local call, until_ms, now_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local used, at = {}, 4
for i, key in ipairs(KEYS) do
  local value = redis.call('GET', key) or ARGV[at + 2]
  if value == '' then return {'base', i} end
  used[i] = tonumber(value)
  if used[i] + tonumber(ARGV[at]) > tonumber(ARGV[at + 1]) then return {'full', i, value} end
  at = at + 5
end
at = 4
for i, key in ipairs(KEYS) do
  redis.call('SET', key, used[i], 'NX')
  used[i] = redis.call('INCRBY', key, ARGV[at])
  redis.call('EXPIRE', key, ARGV[at + 3])
  if ARGV[at + 4] == '1' then redis.call('HSET', 'realms:lease:' .. call, key, ARGV[at]) end
  at = at + 5
end
if redis.call('EXISTS', 'realms:lease:' .. call) == 1 then redis.call('ZADD', 'realms:leases', until_ms, call) end
return {'ok', unpack(used)}
"""
"""Reserves all that a call needs, or nothing. For each key: amount, most, what was used before ('' is unknown and has
to be asked for), seconds to keep it, and whether a dead worker's reservation falls away."""

GIVE = """
local lease = 'realms:lease:' .. ARGV[1]
for i, key in ipairs(KEYS) do
  local change, reserved = tonumber(ARGV[2 * i]), ARGV[2 * i + 1]
  if reserved ~= '' and redis.call('HEXISTS', lease, key) == 0 then change = change + tonumber(reserved) end
  if change ~= 0 and redis.call('EXISTS', key) == 1 then redis.call('INCRBY', key, change) end
end
redis.call('DEL', lease)
return redis.call('ZREM', 'realms:leases', ARGV[1])
"""
"""Brings reservations to what was used, and ends the lease. For each key: the change, and what was reserved ('' where
that doesn't fall away): of a reservation that is not there any more nothing has to be taken back."""

RESTORE = """
local lease = 'realms:lease:' .. ARGV[1]
for i = 3, #ARGV, 4 do
  local key = ARGV[i]
  if redis.call('HEXISTS', lease, key) == 0 and (ARGV[i + 3] == '1' or redis.call('EXISTS', key) == 1) then
    redis.call('INCRBY', key, ARGV[i + 1])
    redis.call('EXPIRE', key, ARGV[i + 2])
    redis.call('HSET', lease, key, ARGV[i + 1])
  end
end
if redis.call('EXISTS', lease) == 1 then redis.call('ZADD', 'realms:leases', ARGV[2], ARGV[1]) end
"""
"""Reserves again what a call holds and Redis has forgotten. For each key: itself, the amount, seconds to keep it, and
whether it counts from nothing; what was spent before has to be asked for first, by the next call."""

SWEEP = """
local dead = redis.call('ZRANGEBYSCORE', 'realms:leases', '-inf', ARGV[1], 'LIMIT', 0, 100)
for _, call in ipairs(dead) do
  local held = redis.call('HGETALL', 'realms:lease:' .. call)
  for i = 1, #held, 2 do
    if redis.call('EXISTS', held[i]) == 1 then redis.call('DECRBY', held[i], held[i + 1]) end
  end
  redis.call('DEL', 'realms:lease:' .. call)
  redis.call('ZREM', 'realms:leases', call)
end
return #dead
"""
"""Takes back what calls of dead workers had reserved."""


class SharedCounters(Counters):
    """Counts in Redis; in this process, by the worker's share, while Redis is away."""

    def __init__(self, client: redis.Redis, *, share: int, breaker: Breaker | None = None) -> None:
        super().__init__(share=share)
        self._client = client
        self._take: Any = client.register_script(TAKE)
        self._give: Any = client.register_script(GIVE)
        self._restore: Any = client.register_script(RESTORE)
        self._sweep: Any = client.register_script(SWEEP)
        self._breaker = breaker or Breaker(client)
        self._live: dict[str, dict[str, Want]] = {}
        """What the calls under way have reserved, by their ids and by key."""
        self._given: list[tuple[str, list[tuple[str, int]]]] = []
        self._wake = Event()

    def start(self) -> None:
        """Begin to give back and to renew, in this worker's hub."""
        gevent.spawn(self._work_for_ever)

    def take(self, call_id: str, wants: list[Want]) -> list[int]:
        if self._breaker.closed:
            try:
                return self._take_shared(call_id, wants)
            except AWAY as error:
                self._breaker.failed(error)
        return super().take(call_id, wants)

    def give(self, call_id: str, changes: list[tuple[str, int]]) -> None:
        if call_id in self._live:
            self._given.append((call_id, changes))
            self._wake.set()
        else:
            super().give(call_id, changes)

    def peek(self, keys: list[str]) -> list[int | None]:
        if self._breaker.closed and keys:
            try:
                told: Any = self._client.mget([PREFIX + key for key in keys])
                return [None if used is None else int(used) for used in told]
            except AWAY as error:
                self._breaker.failed(error)
        return super().peek(keys)

    def _take_shared(self, call_id: str, wants: list[Want]) -> list[int]:
        known: dict[int, int] = {}
        while True:
            told = self._take([PREFIX + want.key for want in wants], _arguments(call_id, wants, known))
            if told[0] == "ok":
                if leased := {want.key: want for want in wants if _falls_away(want)}:
                    self._live[call_id] = leased
                return [int(used) for used in told[1:]]
            want = wants[told[1] - 1]
            if told[0] == "full":
                raise Full(want, int(told[2]))
            known[told[1] - 1] = want.base() if want.base is not None else 0

    def _work_for_ever(self) -> None:
        renewed = 0.0
        while True:
            self._wake.wait(RENEW_S / 4)
            self._wake.clear()
            if not self._breaker.closed:
                continue
            try:
                self._give_back()
                if time.monotonic() - renewed >= RENEW_S:
                    renewed = time.monotonic()
                    self._renew()
            except AWAY as error:
                self._breaker.failed(error)

    def _give_back(self) -> None:
        while self._given:
            call_id, changes = self._given[0]
            leased = self._live.get(call_id, {})
            amounts = [(change, leased[key].amount if key in leased else "") for key, change in changes]
            self._give([PREFIX + key for key, _ in changes], [call_id, *chain.from_iterable(amounts)])
            self._given.pop(0)
            self._live.pop(call_id, None)

    def _renew(self) -> None:
        now = _now_ms()
        until = now + LEASE_S * 1000
        live = list(self._live)
        if live:
            known = self._client.zmscore(LEASES, live)
            self._client.zadd(LEASES, dict.fromkeys(live, until), xx=True)
            for call_id in (call_id for call_id, score in zip(live, known, strict=True) if score is None):
                self._reserve_again(call_id, now, until)
        self._sweep([], [now])

    def _reserve_again(self, call_id: str, now: int, until: int) -> None:
        """A Redis that was emptied or started anew, or others that thought us dead, have forgotten a call."""
        held = self._live.get(call_id, {}).values()  # it may have ended meanwhile
        wanted = [(PREFIX + want.key, want.amount, _keep_s(want, now), int(want.base is None)) for want in held]
        if wanted:
            self._restore([], [call_id, until, *chain.from_iterable(wanted)])


def _arguments(call_id: str, wants: list[Want], known: dict[int, int]) -> list[Any]:
    now = _now_ms()
    arguments: list[Any] = [call_id, now + LEASE_S * 1000, now]
    for number, want in enumerate(wants):
        base: Any = known.get(number, 0 if want.base is None else "")
        arguments += [want.amount, want.rule.most, base, _keep_s(want, now), int(_falls_away(want))]
    return arguments


def _keep_s(want: Want, now_ms: int) -> int:
    return KEEP_S if want.span.end is None else max(1, want.span.end - now_ms // 1000 + 60)


def _falls_away(want: Want) -> bool:
    """Whether a reservation ends with its call: a request that was made stays made."""
    return want.rule.measure is not Measure.REQUESTS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
