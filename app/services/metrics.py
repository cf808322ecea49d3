"""What all workers of this host count, together, in Prometheus' words.

Each worker writes its numbers into a file of its own every second; whoever is asked adds the files up. A dead worker's
counts stay, as counters must only grow; its gauges go.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import gevent
import msgspec

from app.models.base import utcnow
from app.services.meter import Meter, Samples
from app.settings import Settings

EVERY_S = 1.0
FOLDER = "metrics"
"""Where the files are, in the data directory."""
LAG = "realms_loop_lag_seconds"
METRICS = {
    "realms_calls_total": ("counter", "Calls that ended, by endpoint, status and how they ended."),
    "realms_call_seconds": ("histogram", "From a call's first byte to its last, the model's own time included."),
    "realms_first_byte_seconds": ("histogram", "From a call's first byte to the answer's first."),
    "realms_attempts_total": ("counter", "Calls of upstreams, by the upstream's number and whether they went well."),
    "realms_tokens_total": ("counter", "Tokens that providers reported or that were estimated, by kind."),
    "realms_cost_dollars_total": ("counter", "What calls of known price cost."),
    "realms_events_total": ("counter", "Lines of the log but those of calls, by event."),
    "realms_workers": ("gauge", "Workers that are alive."),
    "realms_calls_running": ("gauge", "Calls under way."),
    "realms_calls_most": ("gauge", "Calls under way from which on new ones are refused; 0 before a worker knows."),
    "realms_draining": ("gauge", "Workers on their way out."),
    "realms_journal_bytes": ("gauge", "Records on their way to the database."),
    "realms_snapshot_age_seconds": ("gauge", "Since the last look for changes of configuration; the oldest worker's."),
    LAG: (
        "gauge",
        "By how much a worker's loop was late at its last tick, or is by now if it stands still; the latest worker's.",
    ),
}
"""Every name, its type and its meaning."""


class Share(msgspec.Struct):
    """One worker's file."""

    pid: int
    counts: Samples
    gauges: Samples


class Metrics:
    """This worker's numbers, and the sum of everybody's."""

    def __init__(self, folder: Path, meter: Meter, gauges: Mapping[str, Callable[[], float]]) -> None:
        self._folder = folder
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        self._meter = meter
        self._gauges = gauges
        self._late = 0.0

    def start(self) -> None:
        """Begin to write, in this worker's hub."""
        self._path = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}.json"
        gevent.spawn(self._write_for_ever)

    def text(self) -> str:
        """Return everybody's numbers."""
        counts: Samples = {}
        gauges: Samples = {}
        for share in self._shares():
            for name, value in share.counts.items():
                counts[name] = counts.get(name, 0) + value
            for name, value in share.gauges.items() if _lives(share.pid) else ():
                before = gauges.get(name, 0)
                gauges[name] = max(before, value) if name.endswith("_seconds") else before + value
        return "".join(_lines(counts | gauges))

    def _own(self) -> Share:
        gauges = {name: float(ask()) for name, ask in self._gauges.items()}
        more = {"realms_workers": 1.0, LAG: self._late}
        return Share(os.getpid(), self._meter.samples(), gauges | more)

    def _shares(self) -> Iterator[Share]:
        yield self._own()
        for path in self._folder.glob("*.json"):
            if path != self._path:
                with suppress(OSError, msgspec.DecodeError):
                    yield _as_of_now(msgspec.json.decode(path.read_bytes(), type=Share), path.stat().st_mtime)

    def _write_for_ever(self) -> None:
        while True:  # told first, so that one that stands still from its first second is known of
            gevent.get_hub().threadpool.apply(self._write, (msgspec.json.encode(self._own()),))
            due = time.monotonic() + EVERY_S
            gevent.sleep(EVERY_S)
            self._late = max(0.0, time.monotonic() - due)

    def _write(self, told: bytes) -> None:
        draft = self._path.with_suffix(".draft")
        with suppress(OSError):  # the journal tells of a disk that takes nothing
            self._folder.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(told)
            draft.replace(self._path)


def offered(settings: Settings) -> bool:
    """Return whether anybody may read the metrics."""
    return bool(settings.metrics_token.get_secret_value() or settings.metrics_allow)


def forget(folder: Path) -> None:
    """Begin anew: called when the server starts, while there are no workers."""
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)


def _as_of_now(share: Share, written: float) -> Share:
    """Return a share with what its worker can't tell any more: how long it has been standing still."""
    silent = utcnow().timestamp() - written - EVERY_S
    share.gauges[LAG] = max(share.gauges.get(LAG, 0.0), silent)
    return share


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _lines(samples: Samples) -> Iterator[str]:
    for metric, (kind, meaning) in METRICS.items():
        yield f"# HELP {metric} {meaning}\n# TYPE {metric} {kind}\n"
        for name, value in samples.items():
            if _family(name) == metric:
                yield f"{name} {value:.12g}\n"


def _family(name: str) -> str:
    bare = name.partition("{")[0]
    if bare in METRICS:
        return bare
    return bare.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
