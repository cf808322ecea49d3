"""What limits and records cost a call: ``python -m bench.counting [--rounds N] [--cases small,...]``.

The same build by turns: ``counted`` has a user with every limit there is, prices, and a record and a log line for each
call; ``recorded`` has no limits, ``uncounted`` neither limits nor records. CPU is the least of the rounds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.cases import CASES, interleaved
from bench.house import house
from bench.processes import build, upstream


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.counting", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--cases", default="small,stream,messages")
    options = parser.parse_args()
    build()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="realms-bench-")))
        port = stack.enter_context(upstream()).port
        shape = {"database": "sqlite"}
        targets = [
            stack.enter_context(house(port, folder, name="counted", limited=True, **shape)),
            stack.enter_context(house(port, folder, name="recorded", **shape)),
            stack.enter_context(house(port, folder, name="uncounted", app="bench.uncounted:app", **shape)),
        ]
        print(f"{'case':10} {'':10} {'req/s':>8} {'CPU us':>8}   of uncounted; load {os.getloadavg()[0]:.1f}")
        for name in options.cases.split(","):
            runs = interleaved(targets, CASES[name], rounds=options.rounds, seconds=options.seconds)
            base = runs["uncounted"]
            for target, run in runs.items():
                ratio = f"{run.rps / base.rps:6.2f} {run.cpu_us / base.cpu_us:6.2f}"
                print(
                    f"{name:10} {target:10} {run.rps:8.0f} {run.cpu_us:8.0f} {ratio}  errors {run.errors}", flush=True
                )


if __name__ == "__main__":
    main()
