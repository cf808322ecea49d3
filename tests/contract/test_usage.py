"""`GET /v1/usage`: what a token used, told to itself alone."""

import uuid

import pytest

from app.protocol.limit import Measure
from app.services import allowances
from tests.faults.clients import CHAT, MESSAGES, RESPONSES
from tests.live import until


def usage(house, who="bob"):
    return house.ask("GET", "/v1/usage", who=who).json()


def test_what_a_token_used_is_told_within_a_second(house, sim):
    before = usage(house)["totals"]["today"]
    got = house.post(CHAT.path, CHAT.asks("input=1000,output=70,cached=400", stream=True), who="bob")
    assert got.status == 200

    def told():
        now = usage(house)["totals"]
        return now if now["today"]["requests"] > before["requests"] else None

    totals = until(told, seconds=1.0)
    for span in ("today", "last_7_days", "last_30_days"):
        assert totals[span]["requests"] >= 1
    today = totals["today"]
    grown = {
        name: today[name] - before[name] for name in ("requests", "input_tokens", "cache_read_tokens", "output_tokens")
    }
    assert grown == {"requests": 1, "input_tokens": 600, "cache_read_tokens": 400, "output_tokens": 70}
    assert today["requests_without_price"] == before["requests_without_price"] + 1


def test_limits_are_told_with_what_is_left(house, sim):
    most = {Measure.REQUESTS: 1000, Measure.MONTH: 5_000_000_000}
    house.changed(lambda: allowances.put("user", house.users["bob"], most=most, actor=None))
    try:
        requests, money = usage(house)["limits"]
    finally:
        house.changed(lambda: allowances.put("user", house.users["bob"], most={}, actor=None))
    assert (requests["measure"], requests["allowed"], requests["left"]) == (
        "requests_minute",
        1000,
        1000 - requests["used"],
    )
    assert (money["of"], money["measure"], money["allowed"], money["model"]) == (
        "user",
        "money_month",
        "5.000000000",
        None,
    )
    assert requests["resets_at"] % 60 == 0
    assert usage(house)["limits"] == []


@pytest.mark.parametrize(
    ("talk", "more", "headers"),
    [
        (RESPONSES, {}, {"session_id": "{}"}),
        (CHAT, {"prompt_cache_key": "{}"}, {}),
        (MESSAGES, {"metadata": {"user_id": "user_1_session_{}"}}, {}),
    ],
    ids=["a header", "a key", "a session"],
)
def test_a_conversation_is_found_by_the_name_that_its_client_gave_it(house, sim, talk, more, headers):
    name = str(uuid.uuid4())

    def named(value):
        if isinstance(value, dict):
            return {key: named(inner) for key, inner in value.items()}
        return value.format(name)

    for _ in range(2):
        body = talk.asks("input=100,output=5", stream=False, **named(more))
        house.post(talk.path, body, who="bob", **talk.headers, **named(headers))

    def found():
        answer = house.ask("GET", f"/v1/usage/conversations/{name}", who="bob")
        return answer.json() if answer.status == 200 and answer.json()["requests"] == 2 else None

    told = until(found, seconds=2.0)
    assert (told["object"], told["output_tokens"]) == ("usage.conversation", 10)
    assert house.ask("GET", f"/v1/usage/conversations/{told['key']}", who="bob").json() == told
    for theirs in (name, told["key"]):
        foreign = house.ask("GET", f"/v1/usage/conversations/{theirs}", who="alice")
        assert (foreign.status, foreign.json()["error"]["code"]) == (404, "conversation_not_found")
