"""X-9, X-10: the database is stopped, or stands still; what needs no look-up goes on, and every record arrives."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import databases, live
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, Client, call
from tests.faults.invariants import Seen, assert_no_ghosts, assert_owned, assert_settled
from tests.faults.servers import cluster
from tests.live import until

AWAY_S = 60.0
STREAMS = 20
SETTLED_S = 30.0
pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


@pytest.fixture
def server():
    with cluster() as made:
        databases.migrate(made.url)
        yield made


@pytest.fixture
def house(server, provider, tmp_path):
    with live.open_house(tmp_path, server.url, provider, drain_s="3") as running:
        yield running
        server.thaw()


@pytest.mark.acceptance("H-6")
@pytest.mark.parametrize(
    "how",
    [pytest.param("stop", marks=pytest.mark.fault("X-9")), pytest.param("freeze", marks=pytest.mark.fault("X-10"))],
)
def test_calls_go_on_without_the_database_and_their_records_arrive(house, server, sim, tell, how):
    for who in ("alice", "bob"):
        assert house.ask("GET", "/v1/models", who=who).status == 200
    with ThreadPoolExecutor(STREAMS) as pool:
        running = [pool.submit(_stream, house, talk) for talk in (CHAT, MESSAGES) for _ in range(STREAMS // 2)]
        until(lambda: sim.control("GET", "stats")["open"] == STREAMS, seconds=20)
        getattr(server, how)()
        since = time.monotonic()
        served, refused, first, health = [], [], None, []
        with Gaps(house) as gaps:
            while time.monotonic() - since < AWAY_S:
                served.append(_timed(house, CHAT))
                refused.append(_timed(house, RESPONSES))
                first = first or refused[0]
                health.append(_health(house))
                time.sleep(0.5)
        if how == "stop":
            server.start()
        else:
            server.thaw()
        back = time.monotonic()
        seen = [each.result(60) for each in running]
    new = [status for status, _, _ in served]
    assert set(new) == {200}
    assert refused[0][0] in {200, 503}  # the first finds out; its stream has begun by then, and ends with an error
    assert {status for status, _, _ in refused[1:]} == {503}
    assert not refused[0][2].ended
    assert all(each.ended for each in seen)
    seen += [each for _, _, each in served]
    assert_owned(house, seen)
    assert_settled(house, seen)
    drained = time.monotonic() - back
    until(lambda: call(house, RESPONSES, stream=False).status == 200, seconds=20, every=0.2)
    assert_no_ghosts(house.provider)
    worst = max(took for _, took, _ in refused[1:])
    tell(
        f"{how} {AWAY_S:.0f} s: {STREAMS} streams whole, {len(new)} new calls served (slowest "
        f"{max(took for _, took, _ in served):.2f} s), {len(refused)} creates refused (first {first[1]:.2f} s, others "
        f"at most {worst:.2f} s), slowest /livez {gaps.worst:.2f} s, /healthz {max(health):.2f} s, all records there {drained:.1f} s after it was back"
    )
    assert first[1] < 9  # until then the write might yet have succeeded
    assert worst < 2
    assert gaps.worst < 1
    assert max(health) < 2  # a second, and the question itself
    assert drained < SETTLED_S


class Gaps:
    """Asks /livez all the while: the longest wait is how long the hub stood still."""

    def __init__(self, house) -> None:
        self.worst = 0.0
        self._house = house
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.05):
            since = time.monotonic()
            live.ask(self._house.port, "GET", "/livez")
            self.worst = max(self.worst, time.monotonic() - since)


def _health(house):
    """How long /healthz takes to say that the database is away."""
    since = time.monotonic()
    assert live.ask(house.port, "GET", "/healthz").status == 503
    return time.monotonic() - since


def _stream(house, talk):
    """A stream that lasts longer than the database is away."""
    with Client(house) as client:
        seen = Seen(talk, client.request_id, house.users["alice"])
        client.send(talk, f"events={int(AWAY_S * 5) + 20},gap=0.2")
        seen.data = client.rest()
        seen = seen.read()
        seen.ids.clear()  # nothing is stored
        return seen


def _timed(house, talk):
    """Status and seconds of one short call, and what its client saw."""
    since = time.monotonic()
    whole = call(house, talk, "events=2", who="bob")
    seen = Seen(talk, whole.request_id, house.users["bob"], whole.body).read()
    seen.ids.clear()
    return whole.status, time.monotonic() - since, seen
