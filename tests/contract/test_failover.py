"""Every fault before the commit point is one that the client doesn't notice, as long as another upstream is well.

The matrix: fault, phase, protocol, streaming or not. Nobody is left out for long in this house, so that each case
stands for itself; who is left out, and until when, is in ``test_cooldowns``.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest

from tests.contract.pairs import ALONE, GONE, asked, model_of, open_pairs, plan
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, call, events, name_of

WAIT_S = 0.5
SECRETS = (b"sim-", b"127.0.0.1", b"localhost", b"/bad", b"bad openai", b"bad anthropic", b"org-")
talks = pytest.mark.parametrize("talk", TALKS, ids=name_of)
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])

HEADERS = {
    "fault=reset": "broken",
    "fault=cut_at:0": "broken",
    "fault=cut_at:100": "broken",
    "fault=bad_header:nul": "broken",
    "fault=huge_header:200000": "broken",
    "fault=informational:1000": "broken",
    "fault=redirect:/elsewhere": "redirect",
    "status=401": "key_refused",
    "status=402": "quota",
    "status=403": "credential_refused",
    "status=407": "credential_refused",
    "status=408": "status_408",
    "status=429": "rate_limited",
    "status=429,code=insufficient_quota": "quota",
    "status=404,code=model_not_found": "model_not_found",
    "fault=not_found_endpoint": "endpoint_missing",
    "status=500": "status_500",
    "status=502": "status_502",
    "status=503,retry_after=1": "status_503",
    "status=504": "status_504",
    "status=529": "status_529",
}
"""What goes wrong with the head of an answer, and the word for it in the record of the attempt."""
OPENING = {
    "fault=error_first:529": "status_529",
    "fault=error_first:429": "rate_limited",
    "fault=error_first:500": "status_500",
    "fault=error_opening:529": "status_529",
    "fault=error_opening:500,fault=crlf": "status_500",
    "fault=error_opening:500,fault=split:7": "status_500",
    "fault=error_opening:500,fault=gzip": "status_500",
    "fault=no_terminal:1": "ended_early",
    "fault=empty_body": "ended_early",
    "fault=json_for_stream": "wrong_type",
    "fault=html": "wrong_type",
}
BODY = {
    "fault=broken_json": "broken_body",
    "fault=html": "broken_body",
    "fault=empty_body": "broken_body",
    "fault=half_close": "broken",
    "fault=wrong_length:+50": "broken",
    "fault=sse_for_plain": "wrong_type",
    "size=2000000,fault=reset_at:100000": "broken",
    "fault=gzip_bomb:200": "broken",
}
CASES = [
    *((fault, reason, stream) for fault, reason in HEADERS.items() for stream in (True, False)),
    *((fault, reason, True) for fault, reason in OPENING.items()),
    *((fault, reason, False) for fault, reason in BODY.items()),
]


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    waits = {"first_byte_s": str(WAIT_S), "stream_idle_s": str(WAIT_S), "connect_s": "2", "opening_s": "0.1"}
    with open_pairs(tmp_path_factory.mktemp("pairs"), provider, **waits) as running:
        yield running


def assert_served(talk, got, *, stream):
    assert got.status == 200, got.body
    if stream:
        assert talk.ends.decode() in events(got.body)[-1]
    else:
        assert b"You said: hello there" in got.body
    assert not [secret for secret in SECRETS if secret in got.told]


def attempts(house, got):
    record = house.record(got.request_id)
    return house.rows(f"SELECT upstream_id, status, error FROM attempts WHERE record_id = '{record['id']}' ORDER BY n")


@pytest.mark.acceptance("G-6")
@talks
@pytest.mark.parametrize(("fault", "reason", "stream"), CASES)
def test_a_fault_before_the_commit_point_is_not_noticed(house, sim, talk, fault, reason, stream):
    if talk is MESSAGES and fault == "status=404,code=model_not_found":
        pytest.skip("Anthropic's errors have no codes")
    since = sim.count()
    plan(sim, fault)
    got = call(house, talk, model=model_of(talk), stream=stream)
    assert_served(talk, got, stream=stream)
    assert asked(sim, since) == ["bad", "good"]
    first, second = attempts(house, got)
    if not (talk is MESSAGES and "insufficient_quota" in fault):
        assert first["error"] == reason
    assert (second["status"], second["error"]) == (200, "")
    assert house.record(got.request_id)["end"] == "completed"


@pytest.mark.acceptance("K-3")
@talks
@both
def test_a_call_that_two_tried_is_counted_once_by_who_served_it(house, sim, talk, stream):
    plan(sim, "status=500")
    got = call(house, talk, model=model_of(talk), stream=stream)
    house.record(got.request_id)
    (record,) = house.rows(f"SELECT id, usage_state FROM records WHERE request_id = '{got.request_id}'")
    assert record["usage_state"] == "reported"
    assert len(attempts(house, got)) == 2
    (sums,) = house.rows("SELECT SUM(requests) AS n FROM rollups")
    assert sums == house.rows("SELECT COUNT(*) AS n FROM records")[0]


@talks
@both
def test_an_upstream_that_nobody_answers_for_is_not_noticed(house, sim, talk, stream):
    got = call(house, talk, model=model_of(talk, GONE), stream=stream)
    assert_served(talk, got, stream=stream)
    assert [attempt["error"] for attempt in attempts(house, got)] == ["refused", ""]


def test_an_upstream_that_hangs_is_given_up_in_time(house, sim):
    """One fault after the other, all protocols at once: waiting is all they do."""
    for fault, kinds in (("fault=hang_accept", (True, False)), ("fault=hang_headers", (True, False))):
        sim.control("DELETE", "faults")
        plan(sim, fault)
        cases = [(talk, stream) for talk in TALKS for stream in kinds]
        with ThreadPoolExecutor(len(cases)) as pool:
            since = time.monotonic()
            answers = list(pool.map(lambda case: call(house, case[0], model=model_of(case[0]), stream=case[1]), cases))
        assert time.monotonic() - since < WAIT_S + 1.5
        for (talk, stream), got in zip(cases, answers, strict=True):
            assert_served(talk, got, stream=stream)


@talks
def test_a_silence_in_the_opening_is_no_failure(house, sim, talk):
    """After the opening time what is held goes out; what comes then is the stream's own story."""
    since = sim.count()
    plan(sim, "fault=hang_after:1")
    got = call(house, talk, model=model_of(talk))
    assert got.status == 200
    assert len(events(got.body)) == 2
    assert asked(sim, since) == ["bad"]
    assert house.record(got.request_id)["end"] == "upstream_cut"


@talks
@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_a_mistake_of_the_callers_own_is_told_at_once_and_tried_nowhere_else(house, sim, talk, status):
    since = sim.count()
    plan(sim, f"status={status}")
    assert call(house, talk, model=model_of(talk)).status == status
    assert asked(sim, since) == ["bad"]


@talks
def test_an_error_event_about_the_request_passes_as_it_is(house, sim, talk):
    since = sim.count()
    plan(sim, "fault=error_first:400" if talk is not RESPONSES else "fault=error_first:invalid_prompt")
    got = call(house, talk, model=model_of(talk))
    assert got.status == 200
    assert len(events(got.body)) == 1
    assert asked(sim, since) == ["bad"]


@talks
@pytest.mark.parametrize(("fault", "status"), [("fault=error_first:529", 503), ("fault=error_opening:429", 429)])
def test_an_error_in_the_opening_is_a_status_where_nobody_else_can_serve(house, sim, talk, fault, status):
    since = sim.count()
    plan(sim, fault)
    got = call(house, talk, model=model_of(talk, ALONE))
    assert got.status == (529 if talk is MESSAGES and status == 503 else status)
    assert got.headers["content-type"] == "application/json"
    assert asked(sim, since) == ["bad"]


@pytest.mark.acceptance("H-4")
@talks
def test_where_nobody_else_can_serve_no_failure_tells_where_it_happened(house, sim, talk):
    """The same matrix without a second upstream: neither names nor addresses nor keys, in headers or bodies."""
    told = {}
    for fault, _, stream in CASES:
        plan(sim, fault)
        told[fault, stream] = call(house, talk, model=model_of(talk, ALONE), stream=stream)
        sim.control("DELETE", "faults")
    assert [case for case, got in told.items() if any(secret in got.told for secret in SECRETS)] == []
    assert {got.status for got in told.values()} <= {404, 429, 501, 502, 503, 504, 529}


@pytest.mark.acceptance("G-6")
@talks
@pytest.mark.parametrize("fault", ["error_after:6:500", "no_terminal:6", "hang_after:6"])
def test_after_the_commit_point_nothing_is_tried_again(house, sim, talk, fault):
    since = sim.count()
    plan(sim, f"events=9,fault={fault}")
    got = call(house, talk, model=model_of(talk))
    assert got.status == 200
    name, told = events(got.body)[-1]
    assert name == ("" if talk is CHAT else "error")
    assert "error" in told or told["type"] == "error"
    assert asked(sim, since) == ["bad"]


@pytest.mark.parametrize("fault", ["error_after:6:500", "no_terminal:6"])
def test_an_error_in_the_stream_is_one_of_the_official_clients_own_errors(house, sim, fault):
    plan(sim, f"events=9,fault={fault}")
    with openai.OpenAI(api_key=house.tokens["alice"], base_url=f"{house.url}/v1", max_retries=0) as client:
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(**CHAT.asks(model=model_of(CHAT))))
        with pytest.raises(openai.APIError):
            for event in client.responses.create(**RESPONSES.asks(model=model_of(RESPONSES))):
                assert event.type != "response.completed"
                if event.type == "error":
                    raise openai.APIError(event.message, request=None, body=None)  # what the client leaves to its user
    with anthropic.Anthropic(api_key=house.tokens["alice"], base_url=house.url, max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError):
            list(client.messages.create(**MESSAGES.asks(model=model_of(MESSAGES))))


@pytest.mark.fault("X-7")
def test_a_thousand_calls_at_thirty_percent_faults_show_none(house, sim):
    faults = ("status=500", "status=429", "fault=reset", "fault=error_first:529", "fault=html", "status=401")
    for fault in faults:
        plan(sim, fault, rate=0.06)
    cases = [(talk, n % 3 > 0) for n in range(334) for talk in TALKS]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda case: call(house, case[0], model=model_of(case[0]), stream=case[1]), cases))
    for (talk, stream), got in zip(cases, answers, strict=True):
        assert_served(talk, got, stream=stream)
    failed = house.rows("SELECT count(*) AS n FROM attempts WHERE error <> ''")[0]["n"]
    assert failed > len(cases) / 5
