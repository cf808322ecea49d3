"""What each part of Realms costs a call: ``python -m bench.costs [--rounds N] [--cases small,...]``.

The same build by turns: with everything (a user with every limit there is, prices, a record and a log line for each
call), without one part after another, and without all of them. CPU is the least of the rounds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.cases import CASES, Run, interleaved
from bench.house import house
from bench.processes import build, upstream
from bench.report import markdown

ALL = ("authentication", "routing", "limits", "records", "claims")
WHOLE = "everything"
VARIANTS = {WHOLE: (), **{f"without {part}": (part,) for part in ALL}}
VARIANTS |= {"without limits and records": ("limits", "records"), "without all of these": ALL}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.costs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--cases", default="small,stream,responses")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    build()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="realms-bench-")))
        port = stack.enter_context(upstream()).port
        targets = [
            stack.enter_context(
                house(port, folder, database=options.database, name=name, limited=True, without=without)
            )
            for name, without in VARIANTS.items()
        ]
        names = options.cases.split(",")
        runs = {
            name: interleaved(targets, CASES[name], rounds=options.rounds, seconds=options.seconds) for name in names
        }
    print(f"load {os.getloadavg()[0]:.1f}; CPU µs a request, and requests a second against everything\n")
    print(markdown(["", *names], [[variant, *(_told(runs[name], variant) for name in names)] for variant in VARIANTS]))


def _told(runs: dict[str, Run], variant: str) -> str:
    run = runs[variant]
    failed = f", {run.errors} errors" if run.errors else ""
    return f"{run.cpu_us:.0f} ({run.rps / runs[WHOLE].rps:.2f}){failed}"


if __name__ == "__main__":
    main()
