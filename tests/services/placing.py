"""Calls that are placed in a configuration in memory, and go well or don't."""

import msgspec

from app.protocol.policy import Policy
from app.services.routing import Router
from app.upstreams.verdict import Scope, Verdict
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
    offer.opened(target, more.get("turn_state", ""))
    offer.done(target)
    return target.place.credential_id


def failing(by, verdict, call=None):
    """Have the first try of a call fail; return its offer and the credential that failed."""
    offer = offered(by, call or a_call())
    target = offer.next(0)
    offer.failed(target, verdict)
    return offer, target.place.credential_id


def narrow(n):
    """An upstream that takes one call at a time."""
    return msgspec.structs.replace(upstream(n), policy=Policy(max_concurrent=1))


def waited(offer):
    """Wait as a call does, and go on when it is its turn."""
    try:
        while (target := offer.next(0.02)) is None:
            pass
        return target
    finally:
        offer.leave()
