"""What one call is offered, by what happened to others before it."""

import time

import gevent
import pytest

from app.protocol.errors import Problem, RelayError
from app.services import line as module
from app.services import offer as offers
from app.upstreams.verdict import Scope
from tests.services.boards import Wall
from tests.services.configuration import Configuration, a_call, entry, offered, route, upstream
from tests.services.placing import DOWN, EQUALS, LIMITED, SINGLE, failing, failure, narrow, router, served, waited

# -- conversations


def test_a_conversation_stays_where_it_is_and_moves_on_when_it_must():
    by = router(EQUALS)
    first = served(by, a_call(session_id="s"))
    assert {served(by, a_call(session_id="s")) for _ in range(50)} == {first}
    assert len({served(by, a_call(session_id=str(n))) for n in range(100)}) > 3
    offer, failed = failing(by, DOWN, a_call(session_id="s"))
    assert failed == first
    target = offer.next(0)
    offer.opened(target, "")
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
    first = served(by, a_call(), turn_state="opaque")
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


def test_who_came_first_is_served_first_whatever_becomes_free_when():
    """One at a time at a narrow upstream, behind a limit that ends for all at once; others come all the while."""
    by, order = router(Configuration(entry("gpt", route(narrow(1)))), queue_wait_s=5), []
    failing(by, failure(Scope.CREDENTIAL, rest_s=0.1))

    def call(n):
        offer = offered(by, a_call())
        target = waited(offer)
        order.append(n)
        gevent.sleep(0.001 * (n % 3))
        offer.done(target)

    calls = []
    for n in range(60):
        calls.append(gevent.spawn(call, n))
        gevent.sleep(0.004)
    gevent.joinall(calls, timeout=10, raise_error=True)
    assert order == list(range(60))


def test_whoever_comes_later_takes_nothing_that_somebody_waits_for_and_all_else():
    own, shared = narrow(1), upstream(2)
    by = router(Configuration(entry("gpt", route(own)), entry("other", route(own, priority=9), route(shared))))
    busy = offered(by, a_call())
    target = busy.next(0)
    waiting = offered(by, a_call())
    assert waiting.next(0.01) is None
    busy.done(target)
    assert served(by, a_call("other")) == 20
    assert waiting.next(0).place.credential_id == 10


def test_what_is_waited_for_counts_from_its_return_on(monkeypatch):
    """The wait for the return is one thing, that for the trial's outcome another."""
    monkeypatch.setattr(offers, "TRIAL_WAIT_S", 0.3)
    by = router(SINGLE, cooldown_s=0.2, queue_wait_s=0.25)
    failing(by, DOWN)
    waiting = [gevent.spawn(waited, offered(by, a_call())) for _ in range(5)]
    gevent.sleep(0.4)
    trying = [job for job in waiting if job.ready()]
    assert len(trying) == 1
    gevent.joinall(waiting, timeout=2)
    told = [job.exception.problem for job in waiting if job.exception is not None]
    assert told == [Problem.OVERLOADED] * 4


def test_no_more_than_so_many_wait(monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    monkeypatch.setattr(module, "ALIKE_MIN", 3)
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
    early = offered(by, a_call())
    assert early.next(0.01) is None  # at most one a second
    early.leave()
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
