"""X-20: a slow network, and one that is gone without a word: noticed on both sides within a minute or little more."""

import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from app.services import catalog, upstreams
from tests import live
from tests.faults import lossy
from tests.faults.clients import CHAT, call
from tests.live import ROOT

DELAY_S = 0.3
NOTICED_S = 20.0
"""A word that is lost is said again after 0.2 s, 0.4 s, and so on: of these few none is lost six times in a row."""
APART = ["unshare", "--net", "--map-root-user"]
pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@pytest.mark.fault("X-20")
def test_a_network_that_is_gone_without_a_word_is_noticed_on_both_sides(tmp_path, tell):
    joined = [*APART, "sh", "-c", "ip link add name near type veth peer name far"]
    if subprocess.run(joined, capture_output=True, check=False).returncode:
        pytest.skip("two joined networks can't be made here: nothing was shown of one that is gone")
    asked = [*APART, sys.executable, "-m", "tests.faults.blackhole", str(tmp_path)]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    upstream_s, client_s = json.loads(done.stdout)
    tell(
        f"gone without a word: a silent provider noticed after {upstream_s:.0f} s, a reading client after {client_s:.0f} s"
    )
    assert upstream_s < 75
    assert client_s < 75


@pytest.mark.fault("X-20")
def test_a_network_that_loses_packets_cuts_no_stream_and_hides_no_client_that_leaves(tmp_path, tell):
    """5 % of packets lost and 50 ms each way, to the provider and to the clients: the kernels' own TCP copes."""
    device = [*APART, "ip", "tuntap", "add", "name", "here", "mode", "tun"]
    if subprocess.run(device, capture_output=True, check=False).returncode:
        pytest.skip("no TUN device can be made here: nothing was shown of packets that get lost")
    asked = [*APART, sys.executable, "-m", "tests.faults.lossy", str(tmp_path)]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    tell(
        f"{told['lost']} of {told['lost'] + told['carried']} packets lost, 50 ms each way, to provider and clients: "
        f"{told['whole']} of {lossy.STREAMS} streams whole, all on record; {lossy.LEAVING} clients that left noticed "
        f"after {told['noticed']:.1f} s at most; a silent provider told after {min(told['idle']):.1f} to "
        f"{max(told['idle']):.1f} s ({lossy.IDLE_S}), one that never began after {max(told['first']):.1f} s "
        f"({lossy.FIRST_BYTE_S})"
    )
    assert told["lost"] > told["carried"] / 50
    assert told["whole"] == lossy.STREAMS
    assert told["ends"] == ["completed"]
    assert told["noticed"] < NOTICED_S
    assert min(told["first"]) >= lossy.FIRST_BYTE_S
    assert max(told["idle"]) < lossy.IDLE_S + NOTICED_S
    assert max(told["first"]) < lossy.FIRST_BYTE_S + NOTICED_S


@contextmanager
def relay(port):
    """A way to a port that takes 0.3 s for every piece."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener, port):
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        far = socket.create_connection(("127.0.0.1", port))
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(one, other):
    with one, suppress(OSError):
        while piece := one.recv(65536):
            time.sleep(DELAY_S)
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)


@pytest.mark.fault("X-20")
def test_a_slow_network_slows_its_own_calls_alone(provider, sim, tmp_path, tell):
    with relay(provider.port) as port, live.database("sqlite", tmp_path, "slow") as url:
        with live.open_house(tmp_path, url, provider) as house:

            def add():
                made = upstreams.create(
                    name="far", kind="openai", base_url=f"http://127.0.0.1:{port}/v1", key="sim-x", priority=0,
                    weight=1, actor=None,
                )  # fmt: skip
                catalog.import_models(made.id, {"far-*": None}, actor=None)

            house.changed(add)
            quiet = sorted(_took(house) for _ in range(30))
            with ThreadPoolExecutor(20) as pool:
                since = time.monotonic()
                slow = [pool.submit(call, house, CHAT, "events=20,gap=0.05", model="far-1") for _ in range(20)]
                near = sorted(_took(house) for _ in range(30))
                whole = [each.result(60) for each in slow]
                took = time.monotonic() - since
    tell(
        f"300 ms each way: 20 streams whole after {took:.1f} s; others' p50 {quiet[15] * 1000:.0f} ms before, {near[15] * 1000:.0f} ms meanwhile"
    )
    assert all(CHAT.ends in got.body for got in whole)
    assert near[15] < max(DELAY_S, 3 * quiet[15])


def _took(house):
    since = time.monotonic()
    assert call(house, CHAT, "events=1").status == 200
    return time.monotonic() - since
