"""What is measured: the cases, and one run of the load for each."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from statistics import median

from bench.processes import BIN, Target

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
IDLE_STREAM = "gpt-4o-n300-d1000000"
PACED_STREAM = "gpt-4o-n100-d20000"
ENDLESS_STREAM = "gpt-4o-n5000000"
WARM_S = 0.5
SLOWER = {"litellm": 3, "portkey": 1}
"""Whose calls take so long that a short window would count too few of them."""


@dataclass(frozen=True)
class Case:
    """One kind of call; the upstream behaves as the model's name says (see upstream.c)."""

    name: str
    told: str
    path: str
    model: str
    stream: bool = False
    connections: int = 16
    paced: bool = False
    """Whether the upstream sets the pace, so that requests a second say nothing."""


CASES = {
    case.name: case
    for case in (
        Case("small", "chat, 1 KB", CHAT, "gpt-4o-z1000"),
        Case("large", "chat, 50 KB", CHAT, "gpt-4o-z50000"),
        Case("stream", "chat, stream of 100 events", CHAT, "gpt-4o-n100", stream=True),
        Case("paced", "chat, 100 events 20 ms apart", CHAT, PACED_STREAM, stream=True, connections=50, paced=True),
        Case("responses", "responses, 1 KB, stored", RESPONSES, "gpt-4o-z1000"),
        Case("responses-stream", "responses, stream of 100 events, stored", RESPONSES, "gpt-4o-n100", stream=True),
        Case("messages", "messages, 1 KB", MESSAGES, "claude-z1000"),
        Case("messages-stream", "messages, stream of 100 events", MESSAGES, "claude-n100", stream=True),
        Case("one", "chat, 1 KB, one connection", CHAT, "gpt-4o-z1000", connections=1),
        Case("one-stream", "chat, stream of 20 events, one connection", CHAT, "gpt-4o-n20", stream=True, connections=1),
    )
}
MODELS = sorted({case.model for case in CASES.values()} | {IDLE_STREAM, ENDLESS_STREAM})


@dataclass
class Run:
    """What one run of the load saw; times in µs."""

    rps: float
    cpu_us: float
    """Processor time for each request, of the target's processes alone."""
    event_us: float
    """The same for each event of a stream."""
    p50_us: float
    p99_us: float
    delay_p50_us: float
    """How late an event reaches the client, where the upstream stamps them."""
    delay_p99_us: float
    errors: int


def load(target: Target, path: str, model: str, *, seconds: float, connections: int, stream: bool, more=()) -> dict:
    """Run the load against a target and return what it saw."""
    with start_load(target, path, model, seconds=seconds, connections=connections, stream=stream, more=more) as process:
        told, _ = process.communicate(timeout=seconds + 60)
    return json.loads(told)


def start_load(
    target: Target, path: str, model: str, *, seconds: float, connections: int, stream: bool, more=()
) -> subprocess.Popen:
    """Start the load; it ends by itself."""
    command = [BIN / "load", "-p", target.port, "-P", path, "-m", model, "-c", connections, "-t", seconds]
    command += ["-A", target.token, *(["-s"] if stream else []), *more]
    command += [word for header in target.headers for word in ("-H", header)]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def once(target: Target, case: Case, seconds: float) -> Run:
    """Measure one case at one target."""
    shape = {"connections": case.connections, "stream": case.stream}
    load(target, case.path, case.model, seconds=WARM_S * SLOWER.get(target.name, 1), **shape)
    before = target.cpu_s()
    saw = load(target, case.path, case.model, seconds=seconds, **shape)
    used = target.cpu_s() - before
    events = saw["events"]
    return Run(
        rps=saw["rps"],
        cpu_us=used / max(saw["done"], 1) * 1e6,
        event_us=used / events * 1e6 if events else 0.0,
        p50_us=saw["lat_us"]["p50"],
        p99_us=saw["lat_us"]["p99"],
        delay_p50_us=saw["event_delay_us"]["p50"],
        delay_p99_us=saw["event_delay_us"]["p99"],
        errors=saw["errors"],
    )


def interleaved(targets: list[Target], case: Case, *, rounds: int, seconds: float) -> dict[str, Run]:
    """Measure a case at every target in turn, back and forth (A B C, C B A), and sum the rounds up."""
    runs: dict[str, list[Run]] = {target.name: [] for target in targets}
    for n in range(rounds):
        for target in targets if n % 2 == 0 else targets[::-1]:
            runs[target.name].append(once(target, case, seconds * SLOWER.get(target.name, 1)))
    return {name: _sum_up(found) for name, found in runs.items()}


def _sum_up(runs: list[Run]) -> Run:
    """The medians; of CPU the least, because whoever shares the machine only ever adds to it."""
    told = Run(**{name: median(getattr(run, name) for run in runs) for name in vars(runs[0])})
    told.cpu_us = min(run.cpu_us for run in runs)
    told.event_us = min(run.event_us for run in runs)
    told.errors = sum(run.errors for run in runs)
    return told


def idle(target: Target, streams: int) -> dict:
    """Return MB per 1,000 open streams that get an event a second, and how many were open."""
    ramp_s, hold_s = streams / 1000, 5
    base = target.pss_mb()
    more = ("-R", 1000)
    with start_load(
        target, CHAT, IDLE_STREAM, seconds=ramp_s + hold_s + 2, connections=streams, stream=True, more=more
    ) as process:
        time.sleep(ramp_s + hold_s)
        top = target.pss_mb()
        saw = json.loads(process.communicate(timeout=60)[0])
    return {"mb": (top - base) / streams * 1000, "asked": streams, "open": saw["open_end"]}


def fairness(target: Target, fast: int) -> dict:
    """Return what 50 paced streams see beside ``fast`` others that run flat out."""
    beside = {"connections": fast, "stream": True}
    rushing = start_load(target, CHAT, ENDLESS_STREAM, seconds=5, **beside) if fast else None
    time.sleep(0.7)
    saw = load(target, CHAT, PACED_STREAM, seconds=3.5, connections=50, stream=True)
    if rushing:
        rushing.communicate(timeout=60)
    delay = saw["event_delay_us"]
    return {"fast": fast, "events": saw["events"], "p50_ms": delay["p50"] / 1e3, "p99_ms": delay["p99"] / 1e3}
