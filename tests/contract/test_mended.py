"""What an upstream refuses for how it was put is put otherwise, once, and remembered: the caller notices nothing."""

import json

import pytest

from tests.contract.pairs import ALONE, open_pairs, plan
from tests.faults.clients import CHAT, HELLO, RESPONSES, Talk, call

BARE = Talk("bare", CHAT.path, CHAT.model, CHAT.ends, {"messages": HELLO})


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    with open_pairs(tmp_path_factory.mktemp("mended"), provider) as running:
        yield running


@pytest.fixture
def ask(house, sim):
    """Asks the upstream that rejects something; returns the answer, what was sent there, and what attempts met."""

    def ask(talk, *, rejects, **more):
        sim.control("DELETE", "faults")
        plan(sim, f"rejects={rejects}")
        since = sim.count()
        answer = call(house, talk, model=ALONE, **more)
        record = house.record(answer.request_id)["id"]
        tries = house.rows(f"SELECT error FROM attempts WHERE record_id = '{record}' ORDER BY n")
        bodies = [json.loads(request["body"]) for request in sim.requests(since)]
        return answer, bodies, [each["error"] for each in tries]

    return ask


def test_a_limit_of_tokens_is_asked_for_by_its_other_name_from_then_on(ask):
    for stream, expected in ((True, ["mended_renamed", ""]), (True, [""]), (False, [""])):
        answer, bodies, tries = ask(CHAT, rejects="max_tokens", stream=stream, max_tokens=50)
        assert (answer.status, tries) == (200, expected)
        assert ["max_tokens" in body for body in bodies] == [bool(error) for error in tries]
        assert bodies[-1]["max_completion_tokens"] == 50


def test_what_realms_itself_had_added_is_left_out_from_then_on(ask):
    for expected in (["mended_left_out", ""], [""]):
        answer, bodies, tries = ask(BARE, rejects="stream_options")
        assert (answer.status, tries) == (200, expected)
        assert CHAT.ends in answer.body
        assert "stream_options" not in bodies[-1]


@pytest.mark.parametrize(("talk", "member"), [(CHAT, "top_p"), (RESPONSES, "temperature")])
def test_what_the_caller_wrote_is_the_callers_own_and_puts_nobody_out(ask, talk, member):
    for _ in range(4):
        answer, bodies, tries = ask(talk, rejects=member, stream=False, **{member: 0.5})
        assert (answer.status, len(bodies), len(tries)) == (400, 1, 1)
        assert json.loads(answer.body)["error"]["param"] == member
    assert ask(talk, rejects="nothing", stream=False)[0].status == 200
