"""X-7: an upstream that breaks off after any byte: never a 500, never an end that looks whole, and others take over."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services import catalog, upstreams
from tests import live
from tests.faults.clients import CHAT, TALKS, call, events, name_of
from tests.faults.invariants import assert_no_ghosts

CONNECT_S, FIRST_BYTE_S = 2, 3
STEP = {"responses": 11, "chat": 3, "messages": 3}
"""A short stream of the Responses API is five times as long as the others."""
LATE = "fault=wrong_length:+50"
"""A stream's last event has come before this shows: nothing is told after it."""
WAYS = [
    "fault=hang_accept", "fault=hang_headers", "fault=reset", "fault=slow:1", "fault=half_close", "fault=html",
    "fault=informational:100000", "fault=huge_header:100000000", LATE, "fault=gzip_bomb:200",
    "fault=redirect:http://127.0.0.1:9/x", "status=429,retry_after=2", "status=529,retry_after=2", "status=500",
]  # fmt: skip
pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    folder = tmp_path_factory.mktemp("breaks")
    waits = {"connect_s": str(CONNECT_S), "first_byte_s": str(FIRST_BYTE_S), "stream_idle_s": str(FIRST_BYTE_S)}
    with live.database("sqlite", folder, "breaks") as url, live.open_house(folder, url, provider, **waits) as running:
        running.changed(lambda: _unreachable(running))
        yield running


def _unreachable(house):
    """Models whose upstreams can't be reached: no such name, no TLS there, nobody there, nobody answers."""
    places = {
        "no-name": "http://nowhere.invalid/v1",
        "no-tls": f"https://127.0.0.1:{house.provider.port}/v1",
        "nobody": f"http://127.0.0.1:{live.free_port()}/v1",
    }
    for name, url in places.items():
        made = upstreams.create(name=name, kind="openai", base_url=url, key="sim-x", priority=0, weight=1, actor=None)
        catalog.import_models(made.id, {name: None}, actor=None)


@pytest.mark.fault("X-7")
@pytest.mark.parametrize("talk", TALKS, ids=name_of)
def test_a_stream_that_is_reset_after_any_byte_is_told_as_that(house, sim, tell, talk):
    whole = "events=2,fault=same_id:x"
    since = sim.count()
    assert call(house, talk, whole).status == 200
    size = sim.requests(since)[0]["bytes_sent"]

    def cut(at):
        return at, call(house, talk, f"events=2,fault=reset_at:{at}")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(cut, range(0, size, STEP[talk.name])))
    told = Counter(got.status for _, got in answers)
    for at, got in answers:
        assert got.status in {200, 502}, at
        if got.status == 200:
            names = [name or data for name, data in events(got.body)]
            assert talk.ends.decode() not in names or at >= size - 64, at
            assert b"error" in got.body or talk.ends in got.body, at
    assert_no_ghosts(house.provider)
    tell(
        f"{talk.name}: reset after {len(answers)} of {size} bytes: {told[502]} told by status, {told[200]} in the stream"
    )


@pytest.mark.fault("X-7")
def test_every_other_way_is_told_in_time_and_never_as_ours(house, sim, tell):
    cases = [(talk, way, stream) for talk in TALKS for way in WAYS for stream in (True, False)]
    cases += [(CHAT, name, True) for name in ("no-name", "no-tls", "nobody")]

    def once(case):
        talk, way, stream = case
        since = time.monotonic()
        got = call(house, talk, way, stream=stream) if "=" in way else call(house, talk, model=way, stream=stream)
        return case, got, time.monotonic() - since

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(once, cases))
    slowest = max(took for _, _, took in answers)
    statuses = Counter(got.status for _, got, _ in answers)
    tell(
        f"{len(answers)} other ways to fail: {dict(sorted(statuses.items()))}, the slowest told after {slowest:.1f} s "
        "(200: streams, told in them, or whole before the fault showed)"
    )
    assert 500 not in statuses
    for (talk, way, _), got, took in answers:
        assert took < FIRST_BYTE_S + CONNECT_S + 5, way
        if got.status == 200:
            assert talk.ends not in got.body or b"error" in got.body or way == LATE, way
    assert_no_ghosts(house.provider)
