"""Every place of a model is named: when it would be tried, or why it wouldn't."""

import time

import pytest

from app.protocol.call import Caller, Place
from app.protocol.errors import RelayError
from app.protocol.policy import Policy
from app.services.board import Alone
from app.services.explain import Explainer
from app.services.snapshot import UpstreamEntry
from app.upstreams.verdict import Scope, Verdict
from tests.services.configuration import Configuration, entry, place, route, signs, upstream

ANYBODY = Caller(0, 0, "")
HIGH, LOW = upstream(1, credentials=2), upstream(2)
OFF, CLAUDE, BARE = upstream(3, enabled=False), upstream(4, "anthropic"), upstream(5, credentials=0)
SHUT = upstream(8)
PARTLY = UpstreamEntry(6, "openai", True, 0, {60: place(6, 60)}, resting=frozenset({61}))
BUSY = UpstreamEntry(7, "openai", True, 0, {70: place(7, 70)}, policy=Policy(max_concurrent=1))
CONFIGURATION = Configuration(
    entry(
        "gpt", route(HIGH, priority=9), route(LOW), route(OFF), route(CLAUDE), route(BARE), route(SHUT, enabled=False)
    ),
    entry("partly", route(PARTLY), route(BUSY)),
    entry("sonnet", route(CLAUDE)),
    entry("nowhere"),
)


def explainer(by=None):
    return Explainer(CONFIGURATION, by or signs(), Alone())


def told(of, model="gpt", caller=ANYBODY, **more):
    return [(line.upstream_id, line.credential_id, line.order, line.reason) for line in of.lines(caller, model, **more)]


def rest(by, key, **more):
    by.health.failed(
        key, Verdict(scope=Scope.UPSTREAM, reason="status_500", at_once=True, **more), time.time(), trial=False
    )


def test_every_place_has_its_order_or_its_reason():
    assert told(explainer()) == [
        (1, 10, 1, ""),
        (1, 11, 1, ""),
        (2, 20, 2, ""),
        (3, None, None, "upstream_disabled"),
        (4, None, None, "endpoint_not_offered"),
        (5, None, None, "no_usable_credential"),
        (8, None, None, "route_disabled"),
    ]


def test_who_is_out_comes_last_with_the_time_of_his_return():
    by = signs()
    rest(by, "u:1", rest_s=90.0)
    rest(by, "r:2:gpt")
    lines = explainer(by).lines(ANYBODY, "gpt")
    assert [(line.order, line.reason, line.returns_s) for line in lines[:3]] == [
        (None, "status_500", 90),
        (None, "status_500", 90),
        (None, "status_500", 30),
    ]


def test_a_conversations_own_place_comes_first():
    by = signs()
    by.affinity.bind("openai:abc", 20)
    assert told(explainer(by), conversation="abc")[0] == (2, 20, 0, "conversation")
    assert told(explainer(by), conversation="other")[0] == (1, 10, 1, "")


def test_disabled_credentials_and_busy_upstreams_are_named():
    by = signs()
    by.load.begin(Place(7, 70, "openai", "http://127.0.0.1:9/v1", ""))
    assert told(explainer(by), "partly") == [
        (6, 60, 1, ""),
        (6, 61, None, "credential_disabled"),
        (7, 70, None, "busy"),
    ]


def test_the_usual_endpoint_is_one_that_the_model_has():
    assert told(explainer(), "sonnet") == [(4, 40, 1, "")]
    assert told(explainer(), "sonnet", endpoint="chat.create") == [(4, None, None, "endpoint_not_offered")]
    assert told(explainer(), "nowhere") == []


@pytest.mark.parametrize(("model", "models"), [("nothing", None), ("gpt", ("other",))])
def test_what_the_caller_may_not_know_is_refused_as_the_call_would_be(model, models):
    with pytest.raises(RelayError):
        explainer().lines(Caller(1, 1, "m", models), model)


def test_explaining_moves_nothing():
    by = signs()
    rest(by, "u:1")
    before = dict(by.health.rests)
    told(explainer(by))
    assert by.health.rests == before
    assert not by.load._mine
