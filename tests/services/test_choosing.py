"""Which place a call gets, by priority, load and last use, and by what happened to others before it."""

import pytest

from app.protocol.errors import Problem, RelayError
from app.upstreams.verdict import Scope
from tests.services.configuration import Configuration, a_call, entry, offered, route, upstream
from tests.services.placing import DOWN, EQUALS, LIMITED, SINGLE, failing, failure, narrow, router, served


def test_a_failed_upstream_comes_last_and_each_credential_is_tried_once():
    offer, first = failing(router(), failure())
    rest = []
    for _ in range(2):
        target = offer.next(0)
        offer.failed(target, failure())
        rest.append(target.place.credential_id)
    assert {first, rest[1]} == {10, 11}
    assert rest[0] == 30
    with pytest.raises(RelayError) as refused:
        offer.next(0)
    assert refused.value.problem is Problem.OVERLOADED


def test_a_failed_credential_gives_way_to_the_next_of_its_upstream():
    offer, first = failing(router(), LIMITED)
    second = offer.next(0).place.credential_id
    assert {first, second} == {10, 11}


def test_who_is_out_is_not_asked_again():
    by = router()
    failing(by, DOWN)
    assert {served(by, a_call()) for _ in range(20)} == {30}


def test_a_model_that_is_not_there_puts_out_that_model_alone():
    by = router()
    failing(by, failure(Scope.ROUTE, at_once=True), a_call("gpt-nonsense"))
    assert served(by, a_call("gpt-nonsense")) == 30
    assert served(by, a_call("gpt-4")) in {10, 11}


def test_an_endpoint_that_is_not_offered_is_out_for_an_hour_and_for_itself_alone():
    by = router()
    failing(by, failure(Scope.ENDPOINT), a_call(endpoint="responses.input_tokens"))
    assert served(by, a_call(endpoint="responses.input_tokens")) == 30
    assert served(by, a_call()) in {10, 11}


@pytest.mark.parametrize("scope", [Scope.NOTHING, Scope.REQUEST])
def test_what_is_nobodys_fault_puts_nobody_out(scope):
    by = router(SINGLE)
    failing(by, failure(scope, at_once=True))
    assert served(by, a_call()) == 10


def test_a_call_that_costs_nothing_moves_nobodys_health():
    by = router(SINGLE)
    counting = a_call(endpoint="responses.input_tokens")
    for _ in range(5):
        failing(by, DOWN, counting)
    assert served(by, a_call()) == 10
    failing(by, DOWN)
    with pytest.raises(RelayError):
        served(by, counting)


def test_the_credential_that_was_longest_not_used_comes_next():
    by = router()
    assert served(by, a_call()) != served(by, a_call())
    busy = offered(by, a_call()).next(0).place.credential_id
    assert {served(by, a_call()) for _ in range(5)} == {10, 11} - {busy}


def test_calls_under_way_are_counted_until_they_end():
    by = router(EQUALS)
    offers = [offered(by, a_call()) for _ in range(200)]
    targets = [offer.next(0) for offer in offers]
    load = by._signs.load
    counts = [load.of(f"u:{n}") for n in range(1, 9)]
    assert sum(counts) == 200
    assert max(counts) - min(counts) <= 12
    for offer, target in zip(offers, targets, strict=True):
        offer.done(target)
    assert not load._mine


def test_a_busy_upstream_is_passed_by_also_by_conversations_that_are_with_it():
    by = router(Configuration(entry("gpt", route(narrow(1), priority=5), route(upstream(2)))))
    assert served(by, a_call(session_id="s")) == 10
    busy = offered(by, a_call())
    target = busy.next(0)
    assert target.place.credential_id == 10
    waiting = offered(by, a_call(session_id="s"))
    assert waiting.left_out() == (("u:1", "busy"),)
    assert served(by, a_call(session_id="s")) == 20
    busy.done(target)
    assert waiting.left_out() is None
    assert served(by, a_call()) == 10
