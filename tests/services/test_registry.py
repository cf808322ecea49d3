"""The ownership gate by itself: who finds what, and what everybody else is told."""

from types import SimpleNamespace

import gevent
import msgspec
import pytest
from sqlalchemy import select
from structlog.testing import CapturingLogger

from app.extensions import db
from app.models import OwnedObject
from app.protocol.call import Caller
from app.protocol.endpoints import ObjectKind
from app.protocol.errors import Problem, RelayError
from app.services import upstreams
from app.services.registry import Registry
from tests.services.writing import at_once, away, create_call, writing

pytestmark = pytest.mark.any_database
RESPONSE, CHAT, ITEM, CONVERSATION = (
    ObjectKind.RESPONSE,
    ObjectKind.CHAT_COMPLETION,
    ObjectKind.ITEM,
    ObjectKind.CONVERSATION,
)


def new_upstream(name):
    made = upstreams.create(
        name=name, kind="openai", base_url="http://127.0.0.1:9/v1", key="sk-x", priority=0, weight=1, actor=None
    )
    return made.id


@pytest.fixture
def gate(app, alice, bob, tmp_path):
    """The registry with two people and two upstreams; `claim` makes somebody own ids."""
    people = {"alice": SimpleNamespace(id=alice.id), "bob": SimpleNamespace(id=bob.id)}
    ids = [new_upstream("one"), new_upstream("two")]
    db.session.remove()
    directory = app.extensions["realms"].directory
    places = [next(iter(directory.snapshot.upstreams[n].places.values())) for n in ids]
    with writing(db.engine, tmp_path / "journal") as pen:
        registry = Registry(db.engine, pen, directory)

        def claim(who, *owned, place=places[0], model="m"):
            registry.claim(create_call(people[who], model=model), place, list(owned))

        def find(who, kind, object_id, models=None):
            return registry.find(Caller(people[who].id, 1, "mark", models), kind, object_id)

        yield SimpleNamespace(registry=registry, claim=claim, find=find, places=places, people=people, upstreams=ids)


def problem(function, *arguments, **more):
    with pytest.raises(RelayError) as refused:
        function(*arguments, **more)
    return refused.value


def page(gate, who="alice", **query):
    query = {"after": None, "limit": 20, "newest_first": False, "model": None} | query
    models = query.pop("models", None)
    owned, after = gate.registry.page(Caller(gate.people[who].id, 1, "m", models), CHAT, **query)
    return [entry.object_id for entry in owned], after


def test_the_owner_finds_an_object_and_where_it_lives(gate):
    gate.claim("alice", (RESPONSE, "resp_1"), place=gate.places[1])
    owned = gate.find("alice", RESPONSE, "resp_1")
    assert (owned.kind, owned.object_id, owned.place, owned.model) == (RESPONSE, "resp_1", gate.places[1], "m")


def test_everybody_else_is_told_what_an_unknown_id_is_told(gate):
    gate.claim("alice", (RESPONSE, "resp_1"))
    unknown = problem(gate.find, "bob", RESPONSE, "resp_2")
    for who, kind, object_id in [
        ("bob", RESPONSE, "resp_1"),
        ("alice", RESPONSE, "RESP_1"),
        ("alice", RESPONSE, "resp_"),
        ("alice", RESPONSE, "resp_%"),
        ("alice", RESPONSE, "../resp_1"),
        ("alice", RESPONSE, "resp_1\0"),
        ("alice", RESPONSE, ""),
    ]:
        error = problem(gate.find, who, kind, object_id)
        assert (error.problem, error.param) == (Problem.RESPONSE_NOT_FOUND, "id")
        assert error.message.replace(f"'{object_id}'", "") == unknown.message.replace("'resp_2'", "")
    assert problem(gate.find, "alice", CHAT, "resp_1").problem is Problem.CHAT_NOT_FOUND


@pytest.mark.acceptance("B-10")
def test_the_first_owner_stays_and_the_conflict_is_logged(gate, monkeypatch):
    gate.claim("alice", (RESPONSE, "resp_1"))
    log = CapturingLogger()
    monkeypatch.setattr("app.services.registry.log", log)
    gate.claim("bob", (RESPONSE, "resp_1"), (ITEM, "msg_1"))
    gate.claim("alice", (RESPONSE, "resp_1"))
    assert [(call.args, call.kwargs["object"]) for call in log.calls] == [(("ownership_conflict",), "resp_1")]
    assert gate.find("alice", RESPONSE, "resp_1")
    assert problem(gate.find, "bob", RESPONSE, "resp_1").problem is Problem.RESPONSE_NOT_FOUND
    assert gate.find("bob", ITEM, "msg_1")


def test_one_id_at_two_upstreams_is_two_objects(gate):
    gate.claim("alice", (RESPONSE, "resp_1"))
    gate.claim("bob", (RESPONSE, "resp_1"), place=gate.places[1])
    assert gate.find("alice", RESPONSE, "resp_1").place == gate.places[0]
    assert gate.find("bob", RESPONSE, "resp_1").place == gate.places[1]


@pytest.mark.acceptance("B-10")
def test_one_of_many_at_once_becomes_the_owner(gate):
    at_once(*[lambda who=who: gate.claim(who, (RESPONSE, "resp_1")) for who in ("alice", "bob") * 10])
    with db.engine.connect() as connection:
        (owner,) = connection.scalars(select(OwnedObject.user_id)).all()
    winner, loser = ("alice", "bob") if owner == gate.people["alice"].id else ("bob", "alice")
    assert gate.find(winner, RESPONSE, "resp_1")
    assert problem(gate.find, loser, RESPONSE, "resp_1")


def test_a_forgotten_object_is_gone_and_its_id_is_nobody_elses(gate):
    gate.claim("alice", (RESPONSE, "resp_1"))
    gate.registry.forget(gate.find("alice", RESPONSE, "resp_1"))
    gate.claim("bob", (RESPONSE, "resp_1"))
    for who in ("alice", "bob"):
        assert problem(gate.find, who, RESPONSE, "resp_1").problem is Problem.RESPONSE_NOT_FOUND


def test_to_forget_one_object_leaves_all_others(gate):
    gate.claim("alice", (RESPONSE, "x"), (CHAT, "x"), (RESPONSE, "y"))
    gate.claim("alice", (RESPONSE, "x"), place=gate.places[1])
    gate.registry.forget(gate.find("alice", RESPONSE, "x"))
    assert gate.find("alice", RESPONSE, "x").place == gate.places[1]
    assert gate.find("alice", CHAT, "x")
    assert gate.find("alice", RESPONSE, "y")


def test_a_token_for_some_models_finds_objects_of_these_and_of_none(gate):
    gate.claim("alice", (RESPONSE, "resp_1"), model="a-1")
    gate.claim("alice", (CONVERSATION, "conv_1"), model="")
    assert gate.find("alice", RESPONSE, "resp_1", models=("a-*",))
    assert gate.find("alice", CONVERSATION, "conv_1", models=("b",))
    assert problem(gate.find, "alice", RESPONSE, "resp_1", models=("b",)).problem is Problem.RESPONSE_NOT_FOUND


def test_a_disabled_upstream_is_503_and_a_deleted_one_404(gate):
    gate.claim("alice", (RESPONSE, "resp_1"))
    upstreams.set_enabled(gate.upstreams[0], enabled=False, actor=None)
    error = problem(gate.find, "alice", RESPONSE, "resp_1")
    assert (error.problem, error.retry_after) == (Problem.OVERLOADED, 5)
    assert problem(gate.find, "bob", RESPONSE, "resp_1").problem is Problem.RESPONSE_NOT_FOUND
    upstreams.delete(gate.upstreams[0], actor=None)
    assert problem(gate.find, "alice", RESPONSE, "resp_1").problem is Problem.RESPONSE_NOT_FOUND


@pytest.mark.acceptance("B-14")
def test_a_disabled_credential_is_503_a_deleted_one_404_and_never_another(gate):
    gate.claim("alice", (RESPONSE, "resp_1"))
    upstreams.add_credential(gate.upstreams[0], name="another", key="sk-y", actor=None)
    credential = gate.places[0].credential_id
    upstreams.set_credential_enabled(credential, enabled=False, actor=None)
    assert problem(gate.find, "alice", RESPONSE, "resp_1").problem is Problem.OVERLOADED
    upstreams.set_credential_enabled(credential, enabled=True, actor=None)
    assert gate.find("alice", RESPONSE, "resp_1").place.credential_id == credential
    upstreams.delete_credential(credential, actor=None)
    assert problem(gate.find, "alice", RESPONSE, "resp_1").problem is Problem.RESPONSE_NOT_FOUND


def test_with_the_database_away_nobody_is_told_yes_or_no(gate):
    gate.claim("alice", (RESPONSE, "resp_1"))
    owned = gate.find("alice", RESPONSE, "resp_1")
    with away(db.engine):
        for function, arguments in [
            (gate.find, ("alice", RESPONSE, "resp_1")),
            (gate.find, ("bob", RESPONSE, "resp_1")),
            (gate.registry.forget, (owned,)),
            (gate.claim, ("alice", (RESPONSE, "resp_2"))),
            (page, (gate,)),
        ]:
            error = problem(function, *arguments)
            assert (error.problem, error.retry_after) == (Problem.OVERLOADED, 5)


def test_what_is_to_be_stored_is_refused_before_it_is_paid_for_while_no_owner_can_be_written(gate):
    call = create_call(SimpleNamespace(id=1))
    storing = msgspec.structs.replace(call, stores=True)
    gate.registry.admit(storing)
    with away(db.engine):
        problem(gate.claim, "alice", (RESPONSE, "resp_1"))
        assert problem(gate.registry.admit, storing).problem is Problem.OVERLOADED
        gate.registry.admit(call)
    with gevent.Timeout(10):
        while not gate.registry._pen.claims:
            gevent.sleep(0.05)
    gate.registry.admit(storing)


@pytest.mark.acceptance("B-8")
def test_pages_walk_the_callers_objects_in_both_directions(gate):
    for n in range(5):
        gate.claim("alice", (CHAT, f"c{n}"), place=gate.places[n % 2], model=f"m{n % 2}")
        gate.claim("bob", (CHAT, f"b{n}"))
    assert page(gate) == (["c0", "c1", "c2", "c3", "c4"], None)
    assert page(gate, limit=2) == (["c0", "c1"], "c1")
    assert page(gate, limit=3, after="c1") == (["c2", "c3", "c4"], None)
    assert page(gate, limit=2, newest_first=True) == (["c4", "c3"], "c3")
    assert page(gate, newest_first=True, after="c3") == (["c2", "c1", "c0"], None)
    assert page(gate, model="m1") == (["c1", "c3"], None)
    assert page(gate, models=("m1",))[0] == ["c1", "c3"]
    assert page(gate, after="c4") == ([], None)


def test_a_deleted_object_leaves_the_pages_and_is_still_a_place_to_go_on_from(gate):
    for n in range(3):
        gate.claim("alice", (CHAT, f"c{n}"))
    gate.registry.forget(gate.find("alice", CHAT, "c1"))
    assert page(gate) == (["c0", "c2"], None)
    assert page(gate, after="c1") == (["c2"], None)


@pytest.mark.parametrize(("newest_first", "shown"), [(False, "c0 twin c1 twin c2"), (True, "c2 twin c1 twin c0")])
def test_pages_come_to_an_end_though_two_upstreams_gave_the_same_id(gate, newest_first, shown):
    for n, object_id in enumerate(("c0", "twin", "c1", "twin", "c2")):
        gate.claim("alice", (CHAT, object_id), place=gate.places[n // 2 % 2])
    assert page(gate, newest_first=newest_first)[0] == shown.split()
    after, walked = None, []
    while len(walked) < 9 and (after or not walked):
        found, after = page(gate, limit=1, newest_first=newest_first, after=after)
        walked += found
    assert walked == [*shown.split()[:2], shown.split()[-1]]
    assert page(gate, newest_first=newest_first, after="twin")[0] == shown.split()[-1:]
    assert problem(page, gate, "bob", after="twin").problem is Problem.CHAT_NOT_FOUND


@pytest.mark.parametrize("after", ["b0", "nothing", "", "..", "c0 ", "C0", "c%"])
def test_a_cursor_that_is_not_the_callers_is_not_found(gate, after):
    gate.claim("alice", (CHAT, "c0"))
    gate.claim("bob", (CHAT, "b0"))
    error = problem(page, gate, after=after)
    assert (error.problem, error.param) == (Problem.CHAT_NOT_FOUND, "after")
