"""Calls that wait for their turn, and for the one account that can read what they carry; and what serves them else.

In this house `bad` is asked first and `good` after it; each is an account of its own.
"""

import json
import time
import uuid
from contextlib import ExitStack

import openai
import pytest

from app.services import policies
from tests.contract.pairs import ALONE, GONE, MODEL, asked, open_pairs, plan
from tests.faults.clients import RESPONSES, Client, call

QUESTION = {"role": "user", "content": "[[think]] hello there"}
GO_ON = {"role": "user", "content": "go on"}
TOOL = {"role": "user", "content": '[[tool:weather {"city":"Bern"}]]'}
TOOLS = [{"name": "weather", "input_schema": {"type": "object"}}]
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048, "tools": TOOLS}


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    settings = {"cooldown_s": "1", "queue_wait_s": "2", "heartbeat_s": "0.3"}
    with open_pairs(tmp_path_factory.mktemp("turns"), provider, **settings) as running:
        yield running


@pytest.fixture
def ask(house):
    """Asks within one conversation; returns answer, record and what its attempts met."""
    session = uuid.uuid4().hex

    def ask(items, *, model=MODEL, path="/v1/responses", **more):
        headers = {"session_id": session, "x_request_id": uuid.uuid4().hex}
        body = {"model": model, "store": False, "include": ["reasoning.encrypted_content"], "input": items}
        if path == "/v1/messages":
            body = {"model": f"claude-{model}", "messages": items} | THINKING
            headers["anthropic_version"] = "2023-06-01"
        answer = house.post(path, body | more, **headers)
        record = house.record(headers["x_request_id"])
        tries = house.rows(f"SELECT error FROM attempts WHERE record_id = '{record['id']}' ORDER BY n")
        return answer, record, [each["error"] for each in tries]

    return ask


def sealed_at(sim, account, kind="reasoning"):
    """Something that an account has sealed, as the simulated provider does it."""
    body = {"model": "sim-1", "input": [QUESTION], "store": False, "include": ["reasoning.encrypted_content"]}
    path = "/v1/responses" if kind == "reasoning" else "/v1/responses/compact"
    answer = openai.OpenAI(api_key=account, base_url=f"{sim.url}/v1", max_retries=0)
    with answer:
        told = answer.post(path.removeprefix("/v1"), body=body, cast_to=object)
    return next(item for item in told["output"] if item["type"] == kind)


def sent(sim, since):
    return [json.loads(request["body"]) for request in sim.requests(since)]


def sealed_in(body):
    return [item["encrypted_content"] for item in body["input"] if item.get("encrypted_content")]


# -- turns


def begun(house, sim, **more):
    """Send a call that will wait, and return its client once the house has it."""
    client = Client(house).send(RESPONSES, **more)
    time.sleep(0.01)  # one after the other, as a rule; the records know
    return client


def test_who_came_first_is_served_first_and_one_at_a_time(house, sim):
    house.changed(lambda: policies.save(house.upstreams["bad openai"], '{"max_concurrent": 1}', actor=None))
    try:
        plan(sim, "status=429,retry_after=1", times=1)
        assert call(house, RESPONSES, model=ALONE).status == 429
        plan(sim, "ttfb=0.005")
        since = sim.count()
        with ExitStack() as stack:
            waiting = [stack.enter_context(begun(house, sim, model=ALONE, input=f"call {n}")) for n in range(15)]
            bodies = {client.request_id: client.rest() for client in waiting}
        assert all(b"response.completed" in body for body in bodies.values())
        came = sorted(range(15), key=lambda n: house.record(waiting[n].request_id)["at"])
        assert [body["input"] for body in sent(sim, since)] == [f"call {n}" for n in came]
    finally:
        house.changed(lambda: policies.save(house.upstreams["bad openai"], "", actor=None))


def test_who_waits_is_shown_that_his_stream_is_alive_and_who_leaves_is_forgotten(house, sim):
    plan(sim, "status=429,retry_after=1", times=1)
    assert call(house, RESPONSES, model=ALONE).status == 429
    since = sim.count()
    with begun(house, sim, model=ALONE, input="left"):
        pass
    with begun(house, sim, model=ALONE, input="stays") as client:
        body = client.rest()
    assert body.startswith(b": ping\n\n")
    assert b"response.completed" in body
    assert [body["input"] for body in sent(sim, since)] == ["stays"]


def test_what_is_out_for_longer_is_told_at_once(house, sim):
    plan(sim, "status=429,retry_after=3", times=1)
    assert call(house, RESPONSES, model=ALONE).status == 429
    since = time.monotonic()
    refused = call(house, RESPONSES, model=ALONE)
    assert time.monotonic() - since < 0.5
    assert (refused.status, refused.headers["retry-after"]) == (429, "3")
    assert call(house, RESPONSES, model=MODEL).status == 200
    time.sleep(1.2)
    assert call(house, RESPONSES, model=ALONE).status == 200  # inside of what it waits for by now


# -- reasoning and thoughts


def test_it_waits_for_its_account_that_is_back_soon(house, sim, ask):
    first, _, _ = ask([QUESTION])
    plan(sim, "status=429,retry_after=1", times=1)
    refused_at = time.monotonic()
    ask([GO_ON], model=ALONE)
    since = sim.count()
    answer, _, tries = ask([QUESTION, *first.json()["output"], GO_ON])
    assert (answer.status, tries, asked(sim, since)) == (200, [""], ["bad"])
    assert time.monotonic() - refused_at >= 1


def test_another_account_goes_on_without_it_and_stays(house, sim, ask):
    first, _, _ = ask([QUESTION])
    plan(sim, "status=500", times=1)
    history, since = [QUESTION, *first.json()["output"], QUESTION], sim.count()
    answer, _, tries = ask(history)
    assert (answer.status, tries) == (200, ["status_500", "mended_unsealed", ""])
    bodies = sent(sim, since)
    theirs = sealed_in(bodies[0])
    assert [sealed_in(body) for body in bodies] == [theirs, theirs, []]
    # The conversation is with the new account now: what that one sealed stays, and nothing has to be refused again.
    history, since = [*history, *answer.json()["output"], GO_ON], sim.count()
    answer, record, tries = ask(history)
    assert (answer.status, tries, asked(sim, since)) == (200, [""], ["good"])
    (own,) = sealed_in(sent(sim, since)[0])
    assert own not in theirs
    assert [reason for key, reason in json.loads(record["left_out"]) if key.startswith("s:")] == ["unreadable"]


def test_a_thought_in_the_midst_of_tools_gives_way_with_all_that_depends_on_it(house, sim, ask):
    first, _, _ = ask([TOOL], path="/v1/messages")
    thought, use = first.json()["content"]
    assert (thought["type"], use["type"]) == ("thinking", "tool_use")
    result = [{"type": "tool_result", "tool_use_id": use["id"], "content": "sunny"}]
    history = [TOOL, {"role": "assistant", "content": [thought, use]}, {"role": "user", "content": result}]
    plan(sim, "status=529", times=1)
    since = sim.count()
    answer, _, tries = ask(history, path="/v1/messages")
    assert (answer.status, tries) == (200, ["status_529", "mended_unsealed", ""])
    assert answer.json()["content"][0]["text"] == "Tool said: sunny"
    last = sent(sim, since)[-1]
    assert (last["messages"][1]["content"], "thinking" in last) == ([use], False)
    _, _, tries = ask(history, path="/v1/messages")
    assert tries == [""]


def test_where_nobody_knows_whose_it_is_each_is_asked_before_anything_is_left_out(house, sim, ask):
    item = sealed_at(sim, "sim-good-openai")
    since = sim.count()
    answer, _, tries = ask([QUESTION, item, GO_ON])
    assert (answer.status, tries, asked(sim, since)) == (200, ["unreadable", ""], ["bad", "good"])
    assert sealed_in(sent(sim, since)[-1]) == [item["encrypted_content"]]
    _, _, tries = ask([QUESTION, item, GO_ON])
    assert tries == [""]


def test_what_nobody_can_read_is_left_out_at_last(house, sim, ask):
    answer, _, tries = ask([QUESTION, sealed_at(sim, "sim-elsewhere"), GO_ON])
    assert (answer.status, tries) == (200, ["unreadable", "mended_unsealed", ""])


# -- compacted items, which are the conversation itself


def test_a_compacted_conversation_goes_on_with_its_account_alone(house, sim, ask):
    compact, _, _ = ask([QUESTION], path="/v1/responses/compact", store=None, include=None)
    assert compact.status == 200
    history = [*compact.json()["output"], GO_ON]
    assert ask(history)[0].status == 200
    plan(sim, "status=500", times=1)
    since = sim.count()
    answer, record, tries = ask(history)
    assert (answer.status, tries) == (503, ["status_500", "unreadable"])
    assert (answer.headers["retry-after"], record["reason"]) == ("1", "overloaded")
    assert "encrypted state" in answer.json()["error"]["message"]
    assert len({len(body["input"]) for body in sent(sim, since)}) == 1
    answer, _, tries = ask(history)
    assert (answer.status, tries) == (200, [""])


def test_a_compacted_conversation_that_nobody_can_read_is_a_conflict_for_good(house, sim, ask):
    item = sealed_at(sim, "sim-elsewhere", "compaction")
    since = sim.count()
    with openai.OpenAI(api_key=house.tokens["alice"], base_url=f"{house.url}/v1", max_retries=2) as client:
        with pytest.raises(openai.ConflictError) as raised:
            client.responses.create(model=MODEL, input=[item, GO_ON], store=False)
    assert raised.value.code == "encrypted_state_unreadable"
    assert asked(sim, since) == ["bad", "good"]


def test_a_compacted_conversation_of_unknown_account_is_found(house, sim, ask):
    item = sealed_at(sim, "sim-good-openai", "compaction")
    answer, _, tries = ask([item, GO_ON])
    assert (answer.status, tries) == (200, ["unreadable", ""])


def test_a_refused_item_at_the_one_place_that_can_serve_is_left_out_there(house, sim, ask):
    answer, _, tries = ask([QUESTION, sealed_at(sim, "sim-elsewhere"), GO_ON], model=GONE)
    assert (answer.status, tries[-2:]) == (200, ["mended_unsealed", ""])
