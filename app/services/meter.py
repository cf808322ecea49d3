"""Counts what this worker's calls came to, in plain numbers: one greenlet at a time, no locks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from app.logs import EVENTS
from app.protocol.record import Record
from app.protocol.usage import Usage

BOUNDS_MS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000)
TOKENS = {"input": "input", "cache_read": "cache_read", "output": "output", "reasoning": "reasoning"}
"""Each kind of token by the name of its field in a usage."""
Samples = dict[str, float]
"""Numbers by their name and labels, as Prometheus writes them."""


class Histogram:
    """How many of some spans were at most how long."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_MS) + 1)
        self._sum_ms = 0

    def add(self, ms: int) -> None:
        """Count one."""
        self._counts[bisect_left(BOUNDS_MS, ms)] += 1
        self._sum_ms += ms

    def samples(self, name: str) -> Iterator[tuple[str, float]]:
        """Yield its buckets, each with all that are smaller, in seconds."""
        count = 0
        for bound, more in zip((*BOUNDS_MS, None), self._counts, strict=True):
            count += more
            yield f'{name}_bucket{{le="{"+Inf" if bound is None else bound / 1000}"}}', count
        yield f"{name}_sum", self._sum_ms / 1000
        yield f"{name}_count", count


class Meter:
    """One worker's. Labels are of our own making alone: nothing that a caller sends makes a new one."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, int, str], int] = {}
        self._attempts: dict[tuple[int, bool], int] = {}
        self._tokens = dict.fromkeys(TOKENS, 0)
        self._cost_nanos = 0
        self._whole = Histogram()
        self._first_byte = Histogram()

    def count(self, record: Record) -> None:
        """Take a settled call in."""
        key = (record.endpoint, record.status, record.end)
        self._calls[key] = self._calls.get(key, 0) + 1
        self._whole.add(record.total_ms)
        if record.first_byte_ms is not None:
            self._first_byte.add(record.first_byte_ms)
        for attempt in record.attempts:
            tried = (attempt.upstream_id, not attempt.error)
            self._attempts[tried] = self._attempts.get(tried, 0) + 1
        self._count_usage(record.usage, record.cost)

    def _count_usage(self, usage: Usage, cost: int | None) -> None:
        for kind, name in TOKENS.items():
            self._tokens[kind] += getattr(usage, name) or 0
        self._cost_nanos += cost or 0

    def samples(self) -> Samples:
        """Return every number by its name and labels."""
        told: Samples = {
            f'realms_calls_total{{endpoint="{endpoint}",status="{status}",end="{end}"}}': count
            for (endpoint, status, end), count in self._calls.items()
        }
        for (upstream, ok), count in self._attempts.items():
            told[f'realms_attempts_total{{upstream="{upstream}",ok="{str(ok).lower()}"}}'] = count
        told |= {f'realms_tokens_total{{kind="{kind}"}}': count for kind, count in self._tokens.items()}
        told["realms_cost_dollars_total"] = self._cost_nanos / 1e9
        told |= self._whole.samples("realms_call_seconds")
        told |= self._first_byte.samples("realms_first_byte_seconds")
        return told | {f'realms_events_total{{event="{name}"}}': count for name, count in EVENTS.items()}
