"""Which counts of money in Redis may have missed something, and what they say was spent; any worker may look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import redis

from app.models.base import utcnow
from app.services.counters import Counters
from app.services.recounts import Recounts
from app.services.shared import AWAY, Breaker
from app.services.shared_counters import PREFIX

DOUBTED = "realms:doubted"
LOOKING = "realms:recounting"
LOOK_S = 20
"""So long one worker looks alone; if it dies, another does after that."""
DOUBT_S = 3600
"""A count under which something ends all the time is looked at no longer: it misses next to nothing by then."""
AT_ONCE = 50
CORRECT = """
local held, said = {}, {}
for i = 1, #KEYS do held[i] = 0 end
for _, holder in ipairs(redis.call('ZRANGE', 'realms:leases', 0, -1)) do
  for i, amount in ipairs(redis.call('HMGET', 'realms:lease:' .. holder, unpack(KEYS))) do
    if amount then held[i] = held[i] + amount end
  end
end
for i, key in ipairs(KEYS) do
  local number = redis.call('GET', key)
  said[i] = number and number - held[i] or ''
  if number and ARGV[i] ~= '' and said[i] < tonumber(ARGV[i]) then
    redis.call('INCRBY', key, string.format('%.0f', ARGV[i] - said[i]))
  end
end
return said
"""
"""Brings numbers up to what was spent ('' is not known). What a number says was spent is what is left of it without
all that calls and workers hold. A second time changes nothing."""

SURE = """
for i = 1, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i])) == tonumber(ARGV[i + 1]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
"""


class SharedRecounts(Recounts):
    """Kept in Redis, as the counts are; while it is away, in this process."""

    def __init__(self, counters: Counters, client: redis.Redis, breaker: Breaker) -> None:
        super().__init__(counters)
        self._client = client
        self._breaker = breaker
        self._correct: Any = client.register_script(CORRECT)
        self._sure: Any = client.register_script(SURE)

    def doubt(self, places: Iterable[str]) -> None:
        found = list(places)
        try:
            if found and self._breaker.closed:
                self._client.zadd(DOUBTED, dict.fromkeys(found, utcnow().timestamp()))
                return
        except AWAY as error:
            self._breaker.failed(error)
        super().doubt(found)

    def doubted(self) -> dict[str, float]:
        if not self._breaker.closed:
            return {}
        kept = super().doubted()
        super().sure(kept)
        self.doubt(kept)
        self._client.zremrangebyscore(DOUBTED, "-inf", utcnow().timestamp() - DOUBT_S)
        if not self._client.exists(DOUBTED) or not self._client.set(LOOKING, "1", nx=True, ex=LOOK_S):
            return {}
        found: Any = self._client.zrange(DOUBTED, 0, AT_ONCE - 1, withscores=True)
        return dict(found)

    def sure(self, places: Mapping[str, float]) -> None:
        self._sure([DOUBTED], list(chain.from_iterable((place, repr(since)) for place, since in places.items())))

    def said(self, keys: list[str]) -> list[int | None]:
        return self._run(keys, [""] * len(keys))

    def correct(self, spent: dict[str, int]) -> list[int | None]:
        return self._run(list(spent), list(spent.values()))

    def _run(self, keys: list[str], spent: list[Any]) -> list[int | None]:
        told: Any = self._correct([PREFIX + key for key in keys], spent) if keys else []
        return [None if said == "" else int(said) for said in told]
