"""Looks, in each worker of a test's house, whether its hub ever stood still and what is left open at its end.

What it saw is written into the data directory when the worker ends; `troubles` reads it. The time that counts is what
the hub's own thread spent: how long it was kept from running is the machine's affair.
"""

import gc
import json
import os
import time
from pathlib import Path

import gevent
from greenlet import greenlet

TICK_S = 0.02
BUSY_MAX_S = 0.5
"""Ten times what is promised (50 ms): bodies of 32 MB are among what is tested."""
DESCRIPTORS_MORE, GREENLETS_MAX = 600, 200
"""What an idle worker may have: connections that are kept for the next call (512), greenlets that
are used again, and the loops of its services."""


class Watch:
    """Ticks, and measures each tick."""

    def __init__(self):
        self.busy_s = 0.0
        self.before = descriptors()
        gevent.spawn(self.tick)

    def tick(self):
        while True:
            used = time.thread_time()
            gevent.sleep(TICK_S)
            self.busy_s = max(self.busy_s, time.thread_time() - used)

    def write(self):
        seen = {
            "busy_s": self.busy_s,
            "descriptors_before": self.before,
            "descriptors": descriptors(),
            "greenlets": sum(isinstance(each, greenlet) and bool(each) for each in gc.get_objects()),
        }
        path = Path(os.environ["REALMS_DATA_DIR"]) / f"watched-{os.getpid()}.json"
        try:
            path.write_text(json.dumps(seen))
        except OSError:
            path.unlink(missing_ok=True)  # a test has filled the disk


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def troubles(folder):
    """What the workers of a house should not have done, as far as they lived to tell."""
    found = []
    for path in folder.glob("watched-*.json"):
        seen = json.loads(path.read_text())
        if seen["busy_s"] > BUSY_MAX_S:
            found.append(f"the hub was busy with one thing for {seen['busy_s']:.2f} s")
        if seen["descriptors"] > seen["descriptors_before"] + DESCRIPTORS_MORE:
            found.append(f"{seen['descriptors']} open files at the end, {seen['descriptors_before']} at the beginning")
        if seen["greenlets"] > GREENLETS_MAX:
            found.append(f"{seen['greenlets']} greenlets at the end")
    return found
