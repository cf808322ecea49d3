"""Tells a run as Markdown, and keeps it."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime

from bench.cases import CASES, Case
from bench.processes import HERE

README = HERE / "README.md"
HISTORY = HERE / "history.jsonl"
START, STOP = "<!-- last run -->", "<!-- end of last run -->"
US = "realms"
OURS = (US, f"{US}-gevent", f"{US}-flask")
PEERS = ("nginx", "haproxy", "litellm", "portkey")


def head(database: str) -> dict:
    """The frame of a result: when, what, and where, by nothing but its size."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "revision": revision.stdout.strip(),
        "database": database,
        "cores": os.cpu_count(),
        "ram_gib": round(memory),
        "load": round(os.getloadavg()[0], 1),
        "cases": {},
    }


def keep(result: dict) -> None:
    """Put a result's table into the README and the result into the history."""
    before, _, rest = README.read_text().partition(START)
    _, _, after = rest.partition(STOP)
    README.write_text(f"{before}{START}\n{table(result)}\n{STOP}{after}")
    with HISTORY.open("a") as history:
        history.write(json.dumps(_rounded(result)) + "\n")


def table(result: dict) -> str:
    """Return a result as Markdown tables."""
    told = (
        f"{result['at']}, revision {result['revision']}, {result['database']}; {result['cores']} cores, "
        f"{result['ram_gib']} GiB, load up to {result['load']}."
    )
    parts = [
        told,
        _cases(result["cases"]),
        _paced(result["cases"]),
        _latency(result["cases"]),
        _idle(result),
        _fairness(result),
    ]
    return "\n\n".join(part for part in parts if part)


def _cases(found: dict) -> str:
    rows = []
    for name, runs in found.items():
        case = CASES[name]
        if case.paced or case.connections == 1:
            continue
        for us in OURS:
            if us in runs:
                rows.append([f"{name} ({case.told})", us, *_compared(case, runs, us)])
    names = ["case", "by", *(f"req/s of {peer}" for peer in PEERS)]
    costs = [f"CPU µs a request: {what}" for what in ("Realms", *PEERS)]
    return markdown([*names, *costs, "CPU µs an event: Realms", "nginx", "errors"], rows)


def _compared(case: Case, runs: dict, us: str) -> list[str]:
    ours = runs[us]
    return [
        *(_ratio(ours, runs.get(peer)) for peer in PEERS),
        *(_cpu(runs.get(target), "cpu_us") for target in (us, *PEERS)),
        *(_cpu(runs.get(target), "event_us") if case.stream else "" for target in (us, "nginx")),
        str(ours["errors"]),
    ]


def _paced(found: dict) -> str:
    rows = [
        [target, _cpu(run, "event_us"), f"{run['delay_p50_us'] / 1e3:.2f}", f"{run['delay_p99_us'] / 1e3:.2f}"]
        for name, runs in found.items()
        for target, run in runs.items()
        if CASES[name].paced
    ]
    return markdown(["50 paced streams, an event each 20 ms", "CPU µs an event", "late p50 ms", "p99 ms"], rows)


def _latency(found: dict) -> str:
    """What a target adds to going straight to the upstream."""
    rows = []
    for name, runs in found.items():
        if CASES[name].connections == 1:
            straight = runs["upstream"]
            for target, run in runs.items():
                added = [f"{max(run[key] - straight[key], 0) / 1000:.2f}" for key in ("p50_us", "p99_us")]
                rows += [[CASES[name].told, target, *added]] if target != "upstream" else []
    return markdown(["added latency", "by", "p50 ms", "p99 ms"], rows)


def _idle(result: dict) -> str:
    rows = [
        [name, f"{run['mb']:.0f}" if run["open"] >= run["asked"] else "-", f"{run['open']} of {run['asked']}"]
        for name, run in result.get("idle", {}).items()
    ]
    return markdown(["idle streams", "MB for 1,000", "were open in time"], rows)


def _fairness(result: dict) -> str:
    rows = [
        [name, str(run["fast"]), str(run["events"]), f"{run['p50_ms']:.1f}", f"{run['p99_ms']:.1f}"]
        for name, runs in result.get("fairness", {}).items()
        for run in runs
    ]
    return markdown(["50 paced streams", "beside flat-out ones", "events (8,950 is all)", "p50 ms", "p99 ms"], rows)


def _ratio(ours: dict, theirs: dict | None) -> str:
    if not theirs or not theirs["rps"] or theirs["errors"]:
        return "-"
    ratio = ours["rps"] / theirs["rps"]
    return f"{ratio:.3f}" if ratio < 3 else f"{ratio:.0f} x"


def _cpu(run: dict | None, what: str) -> str:
    if not run or run["errors"] or not run[what]:
        return "-"
    return f"{run[what]:,.1f}" if run[what] < 100 else f"{run[what]:,.0f}"


def markdown(names: list[str], rows: list[list[str]]) -> str:
    """Return a table; nothing where it has no rows."""
    if not rows:
        return ""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _rounded(value):
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return round(value, 2) if isinstance(value, float) else value
