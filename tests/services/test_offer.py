"""What one call is offered, by what happened to others before it."""

import time

import gevent
import pytest

from app.protocol.errors import Problem, RelayError
from app.services import offer as module
from app.services.offer import TURN_STATE
from app.services.routing import Router
from app.upstreams.verdict import Scope, Verdict
from tests.services.boards import Wall
from tests.services.configuration import Configuration, a_call, entry, offered, route, signs, upstream

ONE, TWO, LOW = upstream(1, credentials=2), upstream(2), upstream(3)
TWO_TIERS = Configuration(
    entry("gpt-*", route(ONE, priority=5), route(LOW)), entry("gpt", route(ONE, priority=5), route(LOW))
)
EQUALS = Configuration(entry("gpt", *(route(upstream(n)) for n in range(1, 9))))
SINGLE = Configuration(entry("gpt", route(upstream(1))))


def failure(scope=Scope.UPSTREAM, **more):
    return Verdict(scope=scope, reason=more.pop("reason", "status_500"), **more)


DOWN = failure(at_once=True)
LIMITED = failure(Scope.CREDENTIAL, reason="rate_limited", rest_s=20.0, at_once=True)


def router(configuration=TWO_TIERS, **more):
    return Router(configuration, signs(**more))


def served(by, call, **more):
    """Place a call that is answered well; return the credential."""
    offer = offered(by, call)
    target = offer.next(0)
    offer.opened(target, more.get("headers", ()))
    offer.done(target)
    return target.place.credential_id


def failing(by, verdict, call=None):
    """Have the first try of a call fail; return its offer and the credential that failed."""
    offer = offered(by, call or a_call())
    target = offer.next(0)
    offer.failed(target, verdict)
    return offer, target.place.credential_id


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


# -- conversations


def test_a_conversation_stays_where_it_is_and_moves_on_when_it_must():
    by = router(EQUALS)
    first = served(by, a_call(session_id="s"))
    assert {served(by, a_call(session_id="s")) for _ in range(50)} == {first}
    assert len({served(by, a_call(session_id=str(n))) for n in range(100)}) > 3
    offer, failed = failing(by, DOWN, a_call(session_id="s"))
    assert failed == first
    target = offer.next(0)
    offer.opened(target, ())
    offer.done(target)
    assert {served(by, a_call(session_id="s")) for _ in range(20)} == {target.place.credential_id}


def test_another_users_session_of_the_same_name_is_another():
    by = router(EQUALS)
    first = served(by, a_call(session_id="s", mark="alice"))
    others = {served(by, a_call(session_id="s", mark=f"user {n}")) for n in range(50)}
    assert others != {first}


def test_a_conversation_without_a_name_stays_once_it_goes_on():
    def turn(*texts):
        return a_call(
            body=b'{"model":"m","input":[%b]}' % b",".join(b'{"role":"user","content":"%b"}' % t for t in texts)
        )

    by = router(EQUALS)
    assert len({served(by, turn(b"hello")) for _ in range(60)}) > 3
    last = served(by, turn(b"hello"))
    assert {served(by, turn(b"hello", b"go on")) for _ in range(20)} == {last}


def test_a_turn_goes_back_to_who_issued_its_state():
    by = router(EQUALS)
    first = served(by, a_call(), headers=[(TURN_STATE, "opaque")])
    assert {served(by, a_call(x_codex_turn_state="opaque")) for _ in range(20)} == {first}
    assert len({served(by, a_call(x_codex_turn_state=f"other {n}")) for n in range(60)}) > 3


def test_new_conversations_go_where_most_is_left():
    class Ledgers:
        def allowance(self, place):
            return {10: 0.2, 11: 0.9}[place.credential_id]

    by = router(accounts={"openai": Ledgers()})
    assert {served(by, a_call()) for _ in range(10)} == {11}


# -- all out


def test_all_out_is_told_at_once_with_the_nearest_return():
    by = router(SINGLE)
    failing(by, DOWN)
    since = time.perf_counter()
    with pytest.raises(RelayError) as refused:
        offered(by, a_call()).next(10)
    assert time.perf_counter() - since < 0.05
    assert (refused.value.problem, refused.value.retry_after) == (Problem.OVERLOADED, 30)


def test_all_limited_is_a_rate_limit():
    by = router()
    for _ in range(2):
        failing(by, LIMITED)
    failing(by, LIMITED)
    with pytest.raises(RelayError) as refused:
        offered(by, a_call()).next(0)
    assert (refused.value.problem, refused.value.retry_after) == (Problem.RATE_LIMITED, 20)


def test_a_short_absence_is_waited_for_where_that_is_wanted():
    by = router(SINGLE, queue_wait_s=5)
    failing(by, failure(Scope.CREDENTIAL, rest_s=0.05))
    offer = offered(by, a_call())
    assert offer.next(0.01) is None
    assert offer.next(1).place.credential_id == 10


def test_a_long_absence_is_not_waited_for():
    by = router(SINGLE, queue_wait_s=5)
    failing(by, LIMITED)
    with pytest.raises(RelayError):
        offered(by, a_call()).next(0.01)


def test_no_more_than_so_many_wait(monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    by = router(SINGLE, queue_wait_s=5)
    failing(by, failure(Scope.CREDENTIAL, rest_s=0.2))
    waiting = [gevent.spawn(offered(by, a_call()).next, 2) for _ in range(3)]
    gevent.sleep(0.01)
    with pytest.raises(RelayError):
        offered(by, a_call()).next(2)
    assert {job.get(timeout=3).place.credential_id for job in waiting} == {10}


def test_one_call_tries_a_returning_upstream_and_the_others_wait_for_what_it_shows():
    by = router(SINGLE, cooldown_s=0.05)
    failing(by, DOWN)
    gevent.sleep(0.06)
    trying = offered(by, a_call())
    target = trying.next(0)
    waiting = [offered(by, a_call()) for _ in range(8)]
    assert [offer.next(0.01) for offer in waiting] == [None] * 8
    gevent.spawn_later(0.05, trying.opened, target, ())
    since = time.monotonic()
    got = [job.get(timeout=2) for job in [gevent.spawn(offer.next, 2) for offer in waiting]]
    assert {target.place.credential_id for target in got} == {10}
    assert time.monotonic() - since < 1


def test_while_one_call_tries_an_upstream_the_others_go_elsewhere():
    by = router(cooldown_s=0.05)
    failing(by, DOWN)
    gevent.sleep(0.06)
    assert offered(by, a_call()).next(0).place.upstream_id == 1
    assert {served(by, a_call()) for _ in range(5)} == {30}


def test_a_trial_that_shows_nothing_lets_another_try():
    by = router(SINGLE, cooldown_s=0.05)
    failing(by, DOWN)
    gevent.sleep(0.06)
    left = offered(by, a_call())
    left.done(left.next(0))
    assert offered(by, a_call()).next(0.01) is None  # at most one a second
    gevent.sleep(1)
    assert served(by, a_call()) == 10


def test_workers_agree_on_who_is_out_and_where_a_conversation_is():
    wall = Wall()
    one, other = (router(EQUALS, board=wall.board()) for _ in range(2))
    first = served(one, a_call(session_id="s"))
    assert served(other, a_call(session_id="s")) == first
    failing(one, DOWN, a_call(session_id="s"))
    assert served(other, a_call(session_id="s")) != first


def test_a_key_that_is_refused_again_when_it_is_tried_out_is_out_for_good():
    refused, dismissed = failure(Scope.CREDENTIAL, reason="key_refused", at_once=True, key_refused=True), []
    by = router(SINGLE, cooldown_s=0.05, dismiss=dismissed.append)
    failing(by, refused)
    gevent.sleep(0.06)
    assert dismissed == []
    failing(by, refused)
    assert [place.credential_id for place in dismissed] == [10]


def test_a_key_that_was_limited_before_it_was_refused_gets_another_chance():
    dismissed = []
    by = router(SINGLE, cooldown_s=0.05, dismiss=dismissed.append)
    failing(by, failure(Scope.CREDENTIAL, reason="rate_limited", at_once=True))
    gevent.sleep(0.06)
    failing(by, failure(Scope.CREDENTIAL, reason="key_refused", at_once=True, key_refused=True))
    assert dismissed == []
