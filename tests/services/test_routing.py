"""Where a call can go, chosen from a picture of the configuration alone."""

from contextlib import contextmanager

import pytest
from sqlalchemy import event

from app.extensions import db
from app.protocol.call import Caller, Target
from app.protocol.endpoints import Protocol
from app.protocol.errors import Problem, RelayError
from app.services import catalog, upstreams
from app.services.context import context
from app.services.routing import Router
from app.services.snapshot import RouteEntry
from tests.services.configuration import Configuration, a_call, entry, offered, place, signs, upstream

ONE, TWO, CLAUDE, OFF = upstream(1, credentials=2), upstream(2), upstream(3, "anthropic"), upstream(4, enabled=False)
BARE = upstream(5, credentials=0)
CONFIGURATION = Configuration(
    entry("gpt", RouteEntry(ONE, "theirs", 5), RouteEntry(TWO, "", 0)),
    entry("gpt-*", RouteEntry(TWO, "", 0)),
    entry("gpt-5-*", RouteEntry(ONE, "five", 0)),
    entry("sonnet", RouteEntry(CLAUDE, "", 0)),
    entry("both", RouteEntry(ONE, "", 0), RouteEntry(CLAUDE, "", 0)),
    entry("off", RouteEntry(OFF, "", 0)),
    entry("bare", RouteEntry(BARE, "", 0)),
    entry("shut", RouteEntry(ONE, "", 0, enabled=False)),
    entry("nowhere"),
    upstreams=(ONE, TWO, CLAUDE, OFF, BARE),
)
ROUTER = Router(CONFIGURATION, signs())


def targets(*arguments, configuration=CONFIGURATION, **more):
    """The places of a call in order, for a router that has placed none yet."""
    offer, found = offered(Router(configuration, signs()), a_call(*arguments, **more)), []
    while True:
        try:
            target = offer.next(0)
        except RelayError:
            return found
        found.append((target.place.credential_id, target.model))
        offer.done(target)


def refusal(router, *arguments, **more):
    with pytest.raises(RelayError) as refused:
        offered(router, *arguments, **more)
    return refused.value


def test_a_models_routes_come_in_order_with_every_credential():
    assert targets("gpt") == [(10, "theirs"), (11, "theirs"), (20, "")]


def test_placing_a_call_asks_no_database(ctx):
    made = upstreams.create(name="a", kind="openai", base_url="", key="k", priority=0, weight=1, actor=None)
    catalog.import_models(made.id, {"gpt": None}, actor=None)
    context().directory.refresh()
    router, asked = Router(context().directory, signs()), []
    with listened(db.engine, lambda *told: asked.append(told[2])):
        for n in range(10):
            call = a_call(session_id=f"s{n % 3}")
            offer = offered(router, call)
            target = offer.next(0)
            offer.opened(target, "")
            offer.done(target)
        assert asked == []
        db.session.execute(db.text("SELECT 1"))
    assert asked == ["SELECT 1"], "who listens hears"


@contextmanager
def listened(engine, hear):
    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", hear)


def test_the_longest_pattern_that_fits_serves_a_name():
    assert targets("gpt-4o") == [(20, "")]
    assert targets("gpt-5-mini") == [(10, "five"), (11, "five")]


def test_the_endpoint_decides_which_of_a_models_routes_can_serve():
    assert targets("both") == [(10, ""), (11, "")]
    assert targets("both", "messages.create") == [(30, "")]


@pytest.mark.parametrize("model", ["nothing", "off", "shut", "bare", "nowhere", "GPT", "gpt ", ""])
def test_what_cannot_be_served_is_not_found_for_one_and_the_same_reason(model):
    error = refusal(ROUTER, a_call(model))
    assert (error.problem, error.param) == (Problem.MODEL_NOT_FOUND, "model")
    assert error.message == f"The model '{model}' does not exist or you do not have access to it."


def test_a_model_that_is_elsewhere_says_where():
    assert "/v1/messages" in refusal(ROUTER, a_call("sonnet")).message
    assert "/v1/responses" in refusal(ROUTER, a_call("gpt", "messages.create")).message


def test_a_tokens_list_hides_a_model_as_if_it_were_not_there():
    hidden = refusal(ROUTER, a_call("sonnet", models=("gpt*",)))
    assert hidden.message == "The model 'sonnet' does not exist or you do not have access to it."
    assert targets("gpt", models=("gpt",)) == targets("gpt")


def test_a_continuation_goes_to_the_place_of_what_it_continues_under_its_name_there():
    there = place(1, 11)
    offer = offered(ROUTER, a_call("gpt"), place=there)
    assert offer.next(0) == Target(there, "theirs")
    with pytest.raises(RelayError):
        offer.next(0)
    assert offered(ROUTER, a_call("", "conversations.create"), place=there).next(0) == Target(there)


def test_a_model_that_the_place_does_not_serve_cannot_continue_there():
    assert refusal(ROUTER, a_call("gpt-4o"), place=place(1, 11)).problem is Problem.MODEL_NOT_FOUND
    assert refusal(ROUTER, a_call("nothing"), place=place(1, 11)).problem is Problem.MODEL_NOT_FOUND


def test_a_call_without_a_model_goes_to_the_first_upstream_that_has_the_endpoint():
    low, high = upstream(1), upstream(2, priority=9)
    configuration = Configuration(upstreams=(low, high, upstream(3, "anthropic", priority=99), OFF))
    assert targets("", "conversations.create", configuration=configuration) == [(20, ""), (10, "")]


def test_an_endpoint_that_nobody_has_is_unsupported():
    router = Router(Configuration(upstreams=(CLAUDE, OFF, BARE)), signs())
    assert refusal(router, a_call("", "conversations.create")).problem is Problem.UNSUPPORTED


@pytest.mark.parametrize(
    ("protocol", "models", "names"),
    [
        (Protocol.OPENAI, None, ["gpt", "both"]),
        (Protocol.ANTHROPIC, None, ["sonnet", "both"]),
        (Protocol.OPENAI, ("both", "off"), ["both"]),
        (Protocol.OPENAI, (), []),
    ],
)
def test_the_list_holds_what_a_token_can_reach_by_a_protocol(protocol, models, names):
    assert [e.name for e in ROUTER.models(protocol, Caller(1, 1, "m", models))] == names


def test_one_model_is_there_by_its_name_or_a_pattern():
    caller = Caller(1, 1, "m")
    assert ROUTER.model(Protocol.OPENAI, caller, "gpt-4o").name == "gpt-*"
    assert ROUTER.model(Protocol.ANTHROPIC, caller, "gpt") is None
    assert ROUTER.model(Protocol.OPENAI, caller, "off") is None
    assert ROUTER.model(Protocol.OPENAI, Caller(1, 1, "m", ("gpt-4*",)), "gpt-4o")
    assert ROUTER.model(Protocol.OPENAI, Caller(1, 1, "m", ("gpt-4*",)), "gpt-5-x") is None
