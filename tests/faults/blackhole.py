"""A provider, and a client, whose network is gone without a word: `unshare --net python -m tests.faults.blackhole FOLDER`.

Two networks are joined by one cable; the provider and a client live on the other side. The cable is pulled in the
middle of a silence and in the middle of an answer. Prints the seconds until each was noticed.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests import live
from tests.faults.clients import CHAT, Client
from tests.live import ROOT, until

HERE, THERE = "10.99.0.1", "10.99.0.2"
READER = """
import socket, sys, time
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(bytes.fromhex(sys.argv[3]))
print(len(sock.recv(65536)), flush=True)
time.sleep(600)
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def there(pid: int, *words: str) -> list[str]:
    """A command on the other side of the cable."""
    return ["nsenter", "--net", f"--target={pid}", *words]


def join(pid: int) -> None:
    ip("link", "set", "lo", "up")
    ip("link", "add", "here", "type", "veth", "peer", "name", "there")
    ip("link", "set", "there", "netns", str(pid))
    ip("addr", "add", f"{HERE}/24", "dev", "here")
    ip("link", "set", "here", "up")
    for words in (
        ["addr", "add", f"{THERE}/24", "dev", "there"],
        ["link", "set", "there", "up"],
        ["link", "set", "lo", "up"],
    ):
        subprocess.run(there(pid, "ip", *words), check=True)


def pull(pid: int) -> float:
    """Let every packet vanish on the other side: nobody here is told."""
    subprocess.run(there(pid, "ip", "link", "set", "there", "down"), check=True)
    return time.monotonic()


def plug(pid: int) -> None:
    subprocess.run(there(pid, "ip", "link", "set", "there", "up"), check=True)


def open_there(pid: int, port: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "simulator", "--host", THERE, "--port", str(port)]
    process = subprocess.Popen(there(pid, *words), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def upstream_gone(house: live.House, pid: int) -> float:
    """A stream is silent when its provider vanishes."""
    with Client(house, timeout=200) as client:
        client.send(CHAT, "fault=hang_after:3", model="far-1").read_until(b"\n\n", times=2)
        pulled = pull(pid)
        assert b'"error"' in client.rest()
        took = time.monotonic() - pulled
    plug(pid)
    return took


def client_gone(house: live.House, pid: int) -> float:
    """A client vanishes while it is being written to."""
    with Client(house) as pattern:
        body = json.dumps(CHAT.asks("events=4000,gap=0.5")).encode()
        head = (
            f"POST {CHAT.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pattern.token}\r\nX-Request-Id: gone\r\n"
        )
        sent = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    words = there(pid, sys.executable, "-c", READER, HERE, str(house.port), sent.hex())
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert int(reader.stdout.readline()) > 0
        pulled = pull(pid)
        until(
            lambda: house.rows("SELECT \"end\" FROM records WHERE request_id = 'gone' AND \"end\" <> 'aborted'"),
            seconds=200,
        )
        took = time.monotonic() - pulled
        reader.kill()
    plug(pid)
    return took


def far_model(house: live.House, port: int) -> None:
    from app.services import catalog, upstreams

    url = f"http://{THERE}:{port}/v1"
    made = upstreams.create(name="far", kind="openai", base_url=url, key="sim-x", priority=0, weight=1, actor=None)
    catalog.import_models(made.id, {"far-*": None}, actor=None)


def main(folder: Path) -> None:
    with subprocess.Popen(["unshare", "--net", "sleep", "600"]) as other:
        until(lambda: Path(f"/proc/{other.pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino)
        join(other.pid)
        port = 9100
        far = open_there(other.pid, port)
        try:
            settings = {"egress_allow": "127.0.0.0/8 10.0.0.0/8", "heartbeat_s": "0"}
            with live.open_provider() as provider, live.database("sqlite", folder, "far") as url:
                with live.open_house(folder, url, provider, host="0.0.0.0", **settings) as house:
                    house.changed(lambda: far_model(house, port))
                    print(json.dumps([upstream_gone(house, other.pid), client_gone(house, other.pid)]))
        finally:
            far.kill()
            far.wait()
            other.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
