"""What has been used of each limit, where several workers serve: numbers in Redis, each change one atomic script.

What a call holds is kept under a lease that its worker renews, so that a dead worker's reservations fall away. While
Redis is away each worker holds calls to its share of the limits by itself.
"""

from __future__ import annotations

import time
from typing import Any

import gevent
import redis
from gevent.event import Event

from app.protocol.limit import Measure
from app.services.counters import Counters, Full, Want
from app.services.shared import Breaker

PREFIX = "realms:limit:"
LEASES = "realms:leases"
LEASE_S = 30
RENEW_S = 10.0
KEEP_S = 86_400
"""How long a number without an end is kept after it was last used; what was spent is then asked of the database."""
AWAY = (redis.RedisError, OSError)

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
for i, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then redis.call('INCRBY', key, ARGV[i + 1]) end
end
redis.call('DEL', 'realms:lease:' .. ARGV[1])
return redis.call('ZREM', 'realms:leases', ARGV[1])
"""
"""Brings reservations to what was used, and ends the lease."""

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

    def __init__(self, client: redis.Redis, *, share: int) -> None:
        super().__init__(share=share)
        self._client = client
        self._take: Any = client.register_script(TAKE)
        self._give: Any = client.register_script(GIVE)
        self._sweep: Any = client.register_script(SWEEP)
        self._breaker = Breaker()
        self._live: dict[str, None] = {}
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
            self._breaker.answered()
            if told[0] == "ok":
                if any(_falls_away(want) for want in wants):
                    self._live[call_id] = None
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
            self._give([PREFIX + key for key, _ in changes], [call_id, *(change for _, change in changes)])
            self._given.pop(0)
            self._live.pop(call_id, None)

    def _renew(self) -> None:
        now = _now_ms()
        live = dict.fromkeys(self._live, now + LEASE_S * 1000)
        if live:
            self._client.zadd(LEASES, live, xx=True)
        self._sweep([], [now])


def _arguments(call_id: str, wants: list[Want], known: dict[int, int]) -> list[Any]:
    now = _now_ms()
    arguments: list[Any] = [call_id, now + LEASE_S * 1000, now]
    for number, want in enumerate(wants):
        base: Any = known.get(number, 0 if want.base is None else "")
        keep = KEEP_S if want.span.end is None else max(1, want.span.end - now // 1000 + 60)
        arguments += [want.amount, want.rule.most, base, keep, int(_falls_away(want))]
    return arguments


def _falls_away(want: Want) -> bool:
    """Whether a reservation ends with its call: a request that was made stays made."""
    return want.rule.measure is not Measure.REQUESTS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
