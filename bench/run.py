"""The one command: starts everything, measures it in turn, tells the ratios, ends everything."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import cases, report
from bench.cases import CASES
from bench.house import house
from bench.processes import Target, build, has_peer, peer, upstream

QUICK = ("small", "stream")
IDLE = {"litellm": 250, "portkey": 250}
IDLE_STREAMS = 1000
FAST = (0, 1, 4)


def main() -> None:
    """Parse the command line and run."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is ended then too
    build()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="realms-bench-")))
        source = stack.enter_context(upstream())
        targets = [stack.enter_context(peer(name, source.port, folder)) for name in _peers(options)]
        shape = {"database": options.database}
        targets += [stack.enter_context(house(source.port, folder, **shape))]
        if not options.quick:
            for server in ("gevent", "flask"):
                targets += [
                    stack.enter_context(
                        house(source.port, folder, name=f"{report.US}-{server}", server=server, **shape)
                    )
                ]
        result = _measure(options, source, targets)
    print(report.table(result))
    if options.keep:
        report.keep(result)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small calls and streams beside nginx, half a minute")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument(
        "--peers", default=None, help="of nginx, haproxy, litellm and portkey, with commas; none with ''"
    )
    parser.add_argument("--cases", default=None, help=f"of {', '.join(CASES)}, idle and fairness, with commas")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--seconds", type=float, default=None, help="of each run of the load")
    parser.add_argument("--keep", action="store_true", help="put the table into bench/README.md, a line into history")
    options = parser.parse_args()
    options.peers = (options.peers or "").split(",") if options.peers is not None else _usual_peers(options)
    options.cases = options.cases.split(",") if options.cases else _usual_cases(options)
    options.rounds = options.rounds or (2 if options.quick else 3)
    options.seconds = options.seconds or (2 if options.quick else 3)
    unknown = set(options.cases) - {*CASES, "idle", "fairness"}
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    return options


def _usual_peers(options: argparse.Namespace) -> list[str]:
    return ["nginx"] if options.quick else list(report.PEERS)


def _usual_cases(options: argparse.Namespace) -> list[str]:
    return list(QUICK) if options.quick else [*CASES, "fairness", "idle"]


def _peers(options: argparse.Namespace) -> list[str]:
    """Return those that are installed; say loudly which are not."""
    wanted = [name for name in options.peers if name]
    for name in wanted:
        if not has_peer(name):
            print(f"!!! {name} is not installed and NOT measured: bench/peers.sh install {name}", file=sys.stderr)
    return [name for name in wanted if has_peer(name)]


def _measure(options: argparse.Namespace, source: Target, targets: list[Target]) -> dict:
    result = report.head(options.database)
    for name in options.cases:
        _say(f"{name} …")
        if name == "fairness":
            quick = [target for target in targets if target.name not in cases.SLOWER]
            result[name] = {target.name: [cases.fairness(target, fast) for fast in FAST] for target in quick}
        elif name == "idle":  # last: what some relays do after thousands of cut streams would spoil the rest
            result[name] = {target.name: cases.idle(target, IDLE.get(target.name, IDLE_STREAMS)) for target in targets}
        else:
            case = CASES[name]
            measured = [source, *targets] if case.connections == 1 else targets
            runs = cases.interleaved(measured, case, rounds=options.rounds, seconds=options.seconds)
            result["cases"][name] = {target: vars(run) for target, run in runs.items()}
        result["load"] = max(result["load"], round(os.getloadavg()[0], 1))
    return result


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
