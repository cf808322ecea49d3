"""A stream ends honestly: whatever becomes of the upstream, the client is told in its own words.

The house of these tests waits two seconds for a first byte and one between bytes.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services import catalog, upstreams
from tests import live
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, call, events, name_of

FIRST_BYTE_S = 2.0
IDLE_S = 1.0
SECRETS = (b"sim-main", b"sim-claude", b"sim-second", b"127.0.0.1", b"localhost", b"main", b"stolen", b"org")
"""Keys, addresses and names of upstreams, and what only a provider's own headers hold."""
TYPES = {
    502: ("server_error", "upstream_error", "api_error"),
    504: ("server_error", "upstream_timeout", "timeout_error"),
}
talks = pytest.mark.parametrize("talk", TALKS, ids=name_of)
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    """A house of short waits, with an upstream of each kind behind whose address nobody listens."""
    folder = tmp_path_factory.mktemp("short")
    limits = {"first_byte_s": str(FIRST_BYTE_S), "stream_idle_s": str(IDLE_S), "connect_s": "2"}
    with live.database("sqlite", folder, "short") as url, live.open_house(folder, url, provider, **limits) as running:
        running.changed(lambda: _add_unreachable(f"http://127.0.0.1:{live.free_port()}"))
        yield running


def _add_unreachable(base_url):
    for kind, model in (("openai", "gone-sim-1"), ("anthropic", "gone-claude-1")):
        made = upstreams.create(
            name=f"gone {kind}", kind=kind, base_url=base_url, key="sim-gone", priority=0, weight=1, actor=None
        )
        catalog.import_models(made.id, {model: None}, actor=None)


def gone(talk):
    return "gone-claude-1" if talk is MESSAGES else "gone-sim-1"


def error_of(talk, got, status):
    """Check an error body and return what it says."""
    openai_type, code, anthropic_type = TYPES[status]
    assert (got.status, got.headers["content-type"]) == (status, "application/json"), got.body
    assert got.headers["x-request-id"] == got.request_id
    told = json.loads(got.body)
    if talk is MESSAGES:
        assert got.headers["request-id"] == got.request_id
        assert (told["type"], told["request_id"]) == ("error", got.request_id)
        assert told["error"]["type"] == anthropic_type
        return told["error"]["message"]
    assert set(told["error"]) == {"message", "type", "param", "code"}
    assert (told["error"]["type"], told["error"]["code"]) == (openai_type, code)
    return told["error"]["message"]


def assert_told_in_stream(talk, got, status):
    """The stream's last event, and only the last, is the protocol's own error event, made by Realms."""
    openai_type, code, anthropic_type = TYPES[status]
    assert got.status == 200, got.body
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert got.body.endswith(b"\n\n")
    start = got.body.rfind(b"event: error" if talk is not CHAT else b'data: {"error"')
    assert start >= 0, got.body[-300:]
    assert start == 0 or got.body[start - 1 : start] == b"\n"
    ((name, told),) = events(got.body[start:])
    if talk is RESPONSES:
        assert (name, told["type"], told["code"]) == ("error", "error", code)
        assert got.request_id in told["message"]
        before = [data for _, data in events(got.body[:start]) if isinstance(data, dict)]
        assert told["sequence_number"] == (before[-1]["sequence_number"] + 1 if before else 0)
    elif talk is CHAT:
        assert (told["error"]["type"], told["error"]["code"]) == (openai_type, code)
        assert got.request_id in told["error"]["message"]
    else:
        assert (name, told["error"]["type"], told["request_id"]) == ("error", anthropic_type, got.request_id)
    names = [name for name, _ in events(got.body)]
    assert not {"response.completed", "message_stop"} & set(names)


def assert_silent(got):
    for secret in SECRETS:
        assert secret not in got.told.lower(), secret


def assert_recorded(house, got, **wanted):
    record = house.record(got.request_id)
    assert {name: record[name] for name in wanted} == wanted
    return record


# -- nothing of the answer was sent yet: an error body

NEVER_BEGUN = [
    "fault=reset",
    "fault=cut_at:0",
    "fault=cut_at:100",
    "fault=html",
    "fault=stacked_gzip:6",
    "fault=huge_header:200000",
    "fault=many_headers:1000",
    "fault=bad_header:cr",
    "fault=bad_header:nul",
    "fault=informational:10000",
    "fault=empty_body",
    "status=401",
    "status=500",
]


@pytest.mark.acceptance("E-9", "G-7", "H-4")
@talks
@both
@pytest.mark.parametrize("options", NEVER_BEGUN)
def test_an_answer_that_never_begins_well_is_an_error_body(house, sim, talk, stream, options):
    got = call(house, talk, options, stream=stream)
    error_of(talk, got, 502)
    assert_silent(got)
    assert_recorded(house, got, status=502, end="refused", reason="upstream_error", usage_state="unknown")


@pytest.mark.acceptance("E-9")
@talks
@pytest.mark.parametrize(
    "options",
    [
        "fault=sse_for_plain",
        "fault=empty_body",
        "fault=broken_json",
        "fault=wrong_length:+50",
        "fault=wrong_length:-5",
        "fault=half_close",
        "size=2000000,fault=cut_at:100000",
        "size=2000000,fault=reset_at:100000",
        "fault=gzip_bomb:200",
    ],
)
def test_a_plain_answer_that_breaks_is_an_error_body(house, sim, talk, options):
    got = call(house, talk, options, stream=False)
    error_of(talk, got, 502)
    assert_silent(got)
    assert_recorded(house, got, status=502, end="refused", reason="upstream_error", usage_state="unknown")


@pytest.mark.acceptance("G-7")
@talks
def test_json_for_a_stream_is_an_error_body(house, sim, talk):
    error_of(talk, call(house, talk, "fault=json_for_stream"), 502)


@talks
@both
def test_an_upstream_that_nobody_answers_for_is_an_error_body(house, sim, talk, stream):
    got = call(house, talk, model=gone(talk), stream=stream)
    error_of(talk, got, 502)
    assert_silent(got)
    assert_recorded(house, got, status=502, end="refused", usage_state="unknown")


@pytest.mark.acceptance("E-4")
@talks
@both
def test_a_redirect_is_never_followed(house, sim, talk, stream):
    since = sim.count()
    got = call(house, talk, f"fault=redirect:{sim.url}/elsewhere", stream=stream)
    assert "redirect" in error_of(talk, got, 502)
    assert_silent(got)
    assert [request["path"] for request in sim.requests(since)] == [talk.path]


def timed(house, talk, options, stream):
    since = time.monotonic()
    return call(house, talk, options, stream=stream), time.monotonic() - since


@pytest.mark.acceptance("G-7")
def test_an_upstream_that_hangs_is_given_up_at_its_limit(house, sim):
    """All of them at once: waiting is all they do."""
    hangs = ("fault=hang_accept", "fault=hang_headers")
    cases = [(talk, options, stream) for talk in TALKS for stream in (True, False) for options in hangs]
    with ThreadPoolExecutor(len(cases)) as pool:
        answers = list(pool.map(lambda case: timed(house, *case), cases))
    for (talk, options, _), (got, took) in zip(cases, answers, strict=True):
        error_of(talk, got, 504)
        limit = FIRST_BYTE_S if options == "fault=hang_accept" else IDLE_S
        assert limit <= took < limit + 2, (talk.name, options)
        assert_recorded(house, got, status=504, end="refused", reason="upstream_timeout")


# -- the answer has begun: an error event

BROKEN_OFF = [
    "events=40,fault=cut_at:4500",
    "events=40,fault=reset_at:4500",
    "events=40,fault=half_close:4500",
    "events=5,fault=no_terminal:3",
    "events=5,fault=no_terminal:3,fault=no_length",
    "fault=big_event:17000000",
    "fault=gzip_bomb:100",
    "events=5,fault=wrong_length:-40",
    "events=5,fault=no_terminal:3,fault=wrong_length:+50",
]


@pytest.mark.acceptance("G-5", "G-6", "H-4")
@talks
@pytest.mark.parametrize("options", BROKEN_OFF)
def test_a_stream_that_breaks_off_ends_with_the_error_event(house, sim, talk, options):
    got = call(house, talk, options)
    assert_told_in_stream(talk, got, 502)
    assert_silent(got)
    record = assert_recorded(house, got, status=200, end="upstream_cut", reason="upstream_error")
    assert record["usage_state"] in {"partial", "estimated", "unknown"}


@pytest.mark.parametrize("talk", [RESPONSES, MESSAGES], ids=name_of)
def test_a_last_event_of_broken_json_is_no_end(house, sim, talk):
    got = call(house, talk, "events=5,fault=broken_json")
    assert got.body.count(b"event: error") == 1
    assert json.loads(got.body.rpartition(b"data: ")[2])["type"] == "error"
    assert_recorded(house, got, status=200, end="upstream_cut", reason="upstream_error")


@pytest.mark.acceptance("G-11")
def test_a_stream_that_falls_silent_ends_with_the_error_event(house, sim):
    cases = [(talk, "fault=hang_after:3", True) for talk in TALKS]
    with ThreadPoolExecutor(len(cases)) as pool:
        answers = list(pool.map(lambda case: timed(house, *case), cases))
    for (talk, _, _), (got, took) in zip(cases, answers, strict=True):
        assert_told_in_stream(talk, got, 504)
        assert IDLE_S <= took < IDLE_S + 2
        assert_recorded(house, got, status=200, end="upstream_cut", reason="upstream_timeout")


@pytest.mark.acceptance("G-6")
@talks
def test_a_closing_connection_in_the_middle_of_the_last_event_is_no_end(house, sim, talk):
    """A body of no stated length ends with its connection: only the last event can say that it is whole."""
    options = f"events=3,fault=no_length,fault=same_id:{talk.name}-cut-short"
    since = sim.count()
    call(house, talk, options)
    whole = sim.requests(since)[0]["bytes_sent"]
    for missing in (3, 4, 6) if talk is CHAT else (4, 20, 25):
        got = call(house, talk, f"{options},fault=cut_at:{whole - missing}")
        assert_told_in_stream(talk, got, 502)


@talks
def test_the_providers_own_error_event_ends_the_stream_as_it_is(house, sim, talk):
    got = call(house, talk, "events=5,fault=error_after:4:500")
    *before, (name, told) = events(got.body)
    assert len(before) == 4
    assert name == ("" if talk is CHAT else "error")
    assert "The server had an error" in json.dumps(told)
    assert_recorded(house, got, status=200, end="failed")


@pytest.mark.acceptance("E-12")
@talks
@pytest.mark.parametrize("status", [401, 402, 429])
def test_an_error_event_about_the_providers_account_is_told_in_our_words(house, sim, talk, status):
    """The simulated provider's own words name its organization, as real ones do."""
    got = call(house, talk, f"events=5,fault=error_after:4:{status}")
    *before, (name, told) = events(got.body)
    assert len(before) == 4
    assert name == ("" if talk is CHAT else "error")
    assert got.request_id in json.dumps(told)
    assert not [secret for secret in (*SECRETS, b"credit balance") if secret in got.body]
    assert_recorded(house, got, status=200, end="failed")


@pytest.mark.acceptance("E-12")
@talks
def test_an_error_event_that_lacks_its_blank_line_is_told_in_our_words_too(house, sim, talk):
    options = f"events=5,fault=error_after:4:401,fault=no_length,fault=same_id:{talk.name}-unended,fault=cut_at"
    since = sim.count()
    call(house, talk, f"{options}:9999999")
    whole = sim.requests(since)[0]["bytes_sent"]
    got = call(house, talk, f"{options}:{whole - 1:07}")
    *before, (name, told) = events(got.body)
    assert len(before) == 4
    assert name == ("" if talk is CHAT else "error")
    assert got.request_id in json.dumps(told)
    assert not [secret for secret in SECRETS if secret in got.body]
    assert_recorded(house, got, status=200, end="failed")


@pytest.mark.acceptance("G-8")
@talks
@pytest.mark.parametrize("fault", ["two_terminals", "after_terminal"])
def test_nothing_follows_the_last_event(house, sim, talk, fault):
    got = call(house, talk, f"events=3,fault={fault}")
    *before, last = events(got.body)
    assert talk.ends.decode() in last
    assert last not in before
    assert_recorded(house, got, status=200, end="completed", usage_state="reported")


@pytest.mark.acceptance("G-8")
def test_an_id_that_changes_in_a_stream_is_its_callers_too_and_the_call_is_counted_once(house, sim):
    for talk in TALKS:
        got = call(house, talk, "events=4,fault=id_change", **({} if talk is MESSAGES else {"store": True}))
        assert got.status == 200
        house.record(got.request_id)
        assert house.rows(f"SELECT count(*) AS n FROM records WHERE request_id = '{got.request_id}'") == [{"n": 1}]
        if talk is RESPONSES:
            ids = {data["response"]["id"] for _, data in events(got.body) if "response" in data}
            assert len(ids) == 2
            for object_id in ids:
                row = house.rows(f"SELECT user_id FROM owned_objects WHERE object_id = '{object_id}'")
                assert row == [{"user_id": house.users["alice"]}]


@talks
def test_a_compressed_stream_is_undone(house, sim, talk):
    got = call(house, talk, "events=200,fault=gzip")
    assert talk.ends.decode() in events(got.body)[-1]
    assert "content-encoding" not in got.headers
    assert_recorded(house, got, end="completed", usage_state="reported")
