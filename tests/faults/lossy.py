"""A provider and clients behind a network that loses packets: `unshare --net python -m tests.faults.lossy FOLDER`.

The house stands between two ways of the same kind: every byte of an answer crosses the cable twice. Prints what
`tests/faults/test_network.py` looks at.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import live
from tests.faults.blackhole import HERE, THERE, ip, open_there, there
from tests.faults.cable import enter
from tests.faults.clients import CHAT, TALKS, Client, Talk
from tests.live import until

LOSS, DELAY_S = 0.05, 0.05
STREAMS, LEAVING = 20, 10
IDLE_S, FIRST_BYTE_S = 4, 6
PORT = 9100
WHOLE = "events=30,gap=0.1"


@contextmanager
def cable(pid: int) -> Iterator[list[int]]:
    """Join this network with that of a process; afterwards the list holds the packets carried and lost."""
    asked = [sys.executable, "-m", "tests.faults.cable", str(pid), str(LOSS), str(DELAY_S)]
    counted: list[int] = []
    with subprocess.Popen(asked, cwd=live.ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        ip("link", "set", "lo", "up")
        ip("addr", "add", f"{HERE}/24", "dev", "here")
        ip("link", "set", "here", "up")
        for words in (["addr", "add", f"{THERE}/24", "dev", "there"], ["link", "set", "there", "up"]):
            subprocess.run(there(pid, "ip", *words), check=True)
        subprocess.run(there(pid, "ip", "link", "set", "lo", "up"), check=True)
        try:
            yield counted
        finally:
            process.terminate()
            counted += json.loads(process.stdout.read())


def far_models(house: live.House) -> None:
    from app.services import catalog, upstreams

    for name, kind, path, model in (("far", "openai", "/v1", "far-*"), ("far-claude", "anthropic", "", "claude-far-*")):
        url = f"http://{THERE}:{PORT}{path}"
        made = upstreams.create(name=name, kind=kind, base_url=url, key="sim-x", priority=0, weight=1, actor=None)
        catalog.import_models(made.id, {model: None}, actor=None)


def model(talk: Talk) -> str:
    return "claude-far-1" if talk.path == "/v1/messages" else "far-1"


def client(house: live.House) -> Client:
    return Client(house, timeout=120, host=HERE)


def whole(house: live.House, talk: Talk) -> tuple[bool, str]:
    """A stream with pauses, read to its end; whether it was whole, and its request."""
    with client(house) as caller:
        caller.send(talk, WHOLE, model=model(talk))
        return caller.answer.status == 200 and talk.ends in caller.rest(), caller.request_id


def left(house: live.House, talk: Talk) -> tuple[float, str]:
    """Leave in the middle of an answer; when that was, and the request."""
    with client(house) as caller:
        caller.send(talk, "events=4000,gap=0.5", model=model(talk)).read_until(b"\n\n", times=2)
        request_id = caller.request_id
    return time.monotonic(), request_id


def told_after(house: live.House, fault: str) -> float:
    """How long a client waits for the word that its provider has fallen silent."""
    with client(house) as caller:
        caller.send(CHAT, f"fault={fault}", model=model(CHAT))
        since = time.monotonic()
        if fault != "hang_accept":
            caller.read_until(b"\n\n", times=2)
            since = time.monotonic()
        assert b'"error"' in caller.rest()
        return time.monotonic() - since


def noticed(house: live.House, gone: list[tuple[float, str]]) -> list[float]:
    """How long after each had left its record was there."""
    took = []
    for since, request_id in gone:
        assert house.record(request_id)["end"] == "client_left"
        took.append(time.monotonic() - since)
    return took


def shown(house: live.House, pool: ThreadPoolExecutor) -> dict[str, Any]:
    talks = [TALKS[n % 3] for n in range(STREAMS)]
    since = time.monotonic()
    streams = list(pool.map(lambda talk: whole(house, talk), talks))
    took = time.monotonic() - since
    ends = {house.record(request_id)["end"] for _, request_id in streams}
    gone = list(pool.map(lambda talk: left(house, talk), talks[:LEAVING]))
    return {
        "whole": sum(good for good, _ in streams),
        "ends": sorted(ends),
        "took": took,
        "noticed": max(noticed(house, gone)),
        "idle": list(pool.map(lambda _: told_after(house, "hang_after:3"), range(5))),
        "first": list(pool.map(lambda _: told_after(house, "hang_accept"), range(5))),
    }


def main(folder: Path) -> None:
    settings = {"egress_allow": "127.0.0.0/8 10.0.0.0/8", "heartbeat_s": "0"}
    settings |= {"stream_idle_s": str(IDLE_S), "first_byte_s": str(FIRST_BYTE_S)}
    with subprocess.Popen(["unshare", "--net", "sleep", "600"]) as other:
        until(lambda: Path(f"/proc/{other.pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino)
        try:
            with (
                cable(other.pid) as counted,
                live.open_provider() as near,
                live.database("sqlite", folder, "far") as url,
            ):
                far = open_there(other.pid, PORT)
                try:
                    with live.open_house(folder, url, near, host="0.0.0.0", **settings) as house:
                        house.changed(lambda: far_models(house))
                        with ThreadPoolExecutor(STREAMS, initializer=enter, initargs=[other.pid]) as pool:
                            told = shown(house, pool)
                finally:
                    far.kill()
                    far.wait()
        finally:
            other.kill()
    print(json.dumps(told | {"carried": counted[0], "lost": counted[1]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
