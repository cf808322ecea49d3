from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.extensions import db
from app.models import AuditEntry, Route
from app.models.base import utcnow
from app.services import catalog, posting, upstreams
from app.services.catalog import CatalogError
from tests.racing import together
from tests.services.writing import record

pytestmark = pytest.mark.any_database


def add(name="main"):
    return upstreams.create(name=name, kind="openai", base_url="", key=None, priority=0, weight=1, actor=None).id


def routes():
    return {
        model.name: [(route.upstream.name, route.upstream_model) for route in model.routes]
        for model in catalog.list_models()
    }


def refused(work, *args, **kwargs):
    with pytest.raises(CatalogError) as caught:
        work(*args, **kwargs)
    return caught.value


def test_imported_models_are_routed_to_their_upstream(ctx):
    assert catalog.import_models(add(), {"gpt-5": None, "fast": "gpt-5-mini", "claude-*": None}, actor=None) == 3
    assert routes() == {
        "claude-*": [("main", None)],
        "fast": [("main", "gpt-5-mini")],
        "gpt-5": [("main", None)],
    }
    assert {model.owned_by for model in catalog.list_models()} == {"openai"}


def test_a_name_that_is_the_same_there_is_not_a_rename(ctx):
    catalog.import_models(add(), {"m": "m", "n": " "}, actor=None)
    assert routes() == {"m": [("main", None)], "n": [("main", None)]}


@pytest.mark.acceptance("D-6")
def test_importing_again_changes_only_what_differs(ctx):
    main = add()
    catalog.import_models(main, {"a": None, "b": None}, actor=None)
    assert catalog.import_models(main, {"a": None, "b": "b-2", "c": None}, actor=None) == 2
    assert routes() == {"a": [("main", None)], "b": [("main", "b-2")], "c": [("main", None)]}


def test_two_upstreams_may_serve_one_model(ctx):
    first, second = add("first"), add("second")
    for upstream in (first, second):
        catalog.import_models(upstream, {"m": None}, actor=None)
    assert routes() == {"m": [("first", None), ("second", None)]}


def test_names_that_differ_in_case_are_two_models(ctx):
    catalog.import_models(add(), {"M": None, "m": None}, actor=None)
    assert sorted(routes()) == ["M", "m"]


def test_two_imports_at_once_make_one_model_and_one_route(app, ctx):
    main = add()
    work = lambda: catalog.import_models(main, {"m": None}, actor=None)  # noqa: E731
    assert sorted(together(app, work, work)) == [0, 1]
    assert routes() == {"m": [("main", None)]}


@pytest.mark.parametrize(
    ("public", "theirs", "field"),
    [
        ("", None, "name"),
        ("two words", None, "name"),
        ("a*b", None, "name"),
        ("x" * 201, None, "name"),
        ("a\x00", None, "name"),
        ("ok", "x" * 201, "upstream_model"),
        ("ok", "a\nb", "upstream_model"),
    ],
)
def test_a_name_that_cannot_be_a_models_is_refused_and_nothing_is_imported(ctx, public, theirs, field):
    main = add()
    assert refused(catalog.import_models, main, {"fine": None, public: theirs}, actor=None).field == field
    assert routes() == {}


def test_importing_from_an_upstream_that_does_not_exist_is_refused(ctx):
    assert refused(catalog.import_models, 99, {"m": None}, actor=None).field == "upstream"


def test_a_route_is_made_changed_and_deleted(ctx):
    main, other = add(), add("other")
    catalog.import_models(main, {"m": None}, actor=None)
    (model,) = catalog.list_models()
    made = catalog.set_route(model.id, upstream_id=other, upstream_model="theirs", priority=3, weight=7, actor=None)
    same = catalog.set_route(model.id, upstream_id=other, enabled=False, actor=None)
    assert made.id == same.id
    route = catalog.get_model(model.id).routes[1]
    assert (route.upstream_model, route.priority, route.weight, route.enabled) == (None, None, None, False)
    catalog.delete_route(route.id, actor=None)
    assert routes() == {"m": [("main", None)]}


def test_a_route_that_cannot_be_is_refused_at_its_field(ctx):
    main = add()
    catalog.import_models(main, {"m": None}, actor=None)
    (model,) = catalog.list_models()
    assert refused(catalog.set_route, model.id, upstream_id=99, actor=None).field == "upstream"
    assert refused(catalog.set_route, model.id, upstream_id=main, weight=0, actor=None).field == "weight"
    assert refused(catalog.set_route, model.id, upstream_id=main, priority=10**9, actor=None).field == "priority"
    refused(catalog.set_route, 99, upstream_id=main, actor=None)
    refused(catalog.delete_route, 99, actor=None)


def test_a_model_is_left_out_served_again_and_deleted_with_its_routes(ctx):
    catalog.import_models(add(), {"m": None, "n": None}, actor=None)
    model = catalog.list_models()[0]
    catalog.set_model_enabled(model.id, enabled=False, actor=None)
    assert catalog.get_model(model.id).enabled is False
    catalog.set_model_enabled(model.id, enabled=True, actor=None)
    assert catalog.get_model(model.id).enabled is True
    catalog.delete_model(model.id, actor=None)
    assert sorted(routes()) == ["n"]
    assert db.session.scalar(select(func.count()).select_from(Route)) == 1
    refused(catalog.delete_model, model.id, actor=None)
    refused(catalog.set_model_enabled, model.id, enabled=True, actor=None)


def test_the_audit_says_what_became_of_routes_and_models(admin):
    main = add()
    catalog.import_models(main, {"m": None}, actor=admin)
    (model,) = catalog.list_models()
    route = catalog.set_route(model.id, upstream_id=main, upstream_model="theirs", actor=admin)
    catalog.delete_route(route.id, actor=admin)
    catalog.delete_model(model.id, actor=admin)
    rows = db.session.scalars(select(AuditEntry).where(AuditEntry.actor_id == admin.id).order_by(AuditEntry.id)).all()
    assert [(row.action, row.target) for row in rows] == [
        ("models.import", "upstream main"),
        ("route.set", "route m to main"),
        ("route.delete", "route m to main"),
        ("model.delete", "model m"),
    ]
    assert rows[1].before["upstream_model"] is None
    assert rows[1].after["upstream_model"] == "theirs"


def test_models_that_were_asked_for_and_not_served_are_counted_the_most_wanted_first(ctx):
    catalog.import_models(add(), {"gpt-5": None, "claude-*": None}, actor=None)
    now = utcnow()
    asked = ["gpt-9", "gpt-9", "gpt-8", "gpt-5", "gpt-5", "gpt-5", "claude-7", "claude-7", "claude-7"]
    notes = [
        record(n, model=model, status=404, attempts=(), at=(now - timedelta(hours=n)).timestamp())
        for n, model in enumerate(asked)
    ]
    notes += [record(20, model="old", attempts=(), at=(now - timedelta(days=40)).timestamp()), record(21, model="")]
    with db.engine.begin() as connection:
        posting.post(connection, notes, again=False)
    (first, second) = catalog.asked_not_served()
    assert (first.model, first.times) == ("gpt-9", 2)
    assert timedelta(0) <= now - first.last_at < timedelta(hours=1)
    assert tuple(second)[:2] == ("gpt-8", 1)
    assert len(catalog.asked_not_served(limit=1)) == 1
