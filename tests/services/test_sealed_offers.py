"""What only one account can read: it is waited for a little, then another serves, as well as it can."""

import gevent
import pytest

from app.protocol.errors import Problem
from app.services import offer as offers
from app.upstreams.verdict import Scope
from tests.services.configuration import Configuration, a_call, entry, offered, place, route, upstream
from tests.services.placing import DOWN, LIMITED, failing, failure, narrow, router, served, waited

SEALED = b'{"model":"m","input":[{"type":"reasoning","encrypted_content":"g"},{"role":"user","content":"x"}]}'


def here(**more):
    """One narrow upstream, and one with two credentials behind it."""
    return router(Configuration(entry("gpt", route(narrow(1), priority=9), route(upstream(2, credentials=2)))), **more)


def sealed(**headers):
    return a_call(body=SEALED, session_id="s", **headers)


def bound(by):
    """Begin the conversation at the first place."""
    assert served(by, sealed()) == 10
    return by


def test_its_account_is_waited_for_a_little_although_others_are_well():
    by = bound(here())
    failing(by, failure(Scope.CREDENTIAL, rest_s=0.1))
    plain = offered(by, a_call(session_id="s")).next(0)
    assert plain.place.upstream_id == 2
    assert waited(offered(by, sealed())).place.credential_id == 10


def test_its_turn_is_waited_for_where_its_account_is_busy():
    by = bound(here())
    busy = offered(by, a_call())
    target = busy.next(0)
    offer = offered(by, sealed())
    assert offer.next(0.01) is None
    busy.done(target)
    assert offer.next(0.1).place.credential_id == 10


def test_another_serves_where_its_account_is_out_for_longer_and_reads_it_or_not():
    by = bound(here())
    failing(by, LIMITED)
    offer = offered(by, sealed())
    target = offer.next(0)
    assert target.place.upstream_id == 2
    assert not offer.read_elsewhere()
    told = offer.unreadable(target)
    assert (told.problem, told.retry_after) == (Problem.OVERLOADED, 20)


@pytest.mark.parametrize("verdict", [DOWN, failure()])
def test_another_serves_where_its_account_fails(verdict):
    by = bound(here())
    offer, failed = failing(by, verdict, sealed())
    assert failed == 10
    target = offer.next(0)
    assert target.place.upstream_id == 2
    assert not offer.read_elsewhere()
    assert offer.unreadable(target).problem is Problem.OVERLOADED


def test_another_serves_where_its_account_is_tried_out_for_too_long(monkeypatch):
    monkeypatch.setattr(offers, "TRIAL_WAIT_S", 0.1)
    by = bound(here(cooldown_s=0.01))
    failing(by, DOWN)
    gevent.sleep(0.02)
    assert offered(by, a_call()).next(0).place.credential_id == 10
    assert waited(offered(by, sealed())).place.upstream_id == 2


def test_where_nobody_knows_which_account_made_it_each_may_be_asked():
    offer = offered(here(), sealed())
    for n in range(3):
        target = offer.next(0)
        assert offer.read_elsewhere() is (n < 2)
        told = offer.unreadable(target)
        offer.failed(target, failure(Scope.NOTHING, reason="unreadable"))
    assert told.problem is Problem.UNREADABLE
    assert ("x-should-retry", "false") in told.headers


def test_where_its_account_is_gone_nobody_knows_it_any_more():
    by = bound(here())
    by._directory.snapshot = Configuration(entry("gpt", route(upstream(2)))).snapshot
    offer = offered(by, sealed())
    target = offer.next(0)
    assert offer.unreadable(target).problem is Problem.UNREADABLE


def test_an_account_that_is_out_may_be_the_one_that_can():
    by = here()
    failing(by, LIMITED)
    offer = offered(by, sealed())
    for _ in range(2):
        target = offer.next(0)
        told = offer.unreadable(target)
        offer.failed(target, failure(Scope.NOTHING, reason="unreadable"))
    assert (told.problem, told.retry_after) == (Problem.OVERLOADED, 20)


def test_what_its_own_account_refuses_is_nobodys():
    by = bound(here())
    offer = offered(by, sealed())
    target = offer.next(0)
    assert not offer.read_elsewhere()
    offer.unreadable(target)
    offer.failed(target, failure(Scope.NOTHING, reason="unreadable"))
    assert offer.read_elsewhere()


def test_a_call_that_goes_on_from_something_stored_has_one_place_to_be_read_at():
    offer = offered(here(), sealed(), place=place(1, 10))
    target = offer.next(0)
    assert not offer.read_elsewhere()
    assert offer.unreadable(target).problem is Problem.UNREADABLE
    offer.leave()
