"""A model gets another public name: whoever might use it still may, and its upstream sees no difference."""

import pytest
from sqlalchemy import select

from app.extensions import db
from app.models import AuditEntry
from app.protocol.limit import Measure
from app.services import allowances, catalog, tokens, upstreams
from app.services.catalog import CatalogError
from app.services.context import context
from app.services.renaming import rename_model

pytestmark = pytest.mark.any_database


@pytest.fixture
def model(ctx):
    add = {"kind": "openai", "base_url": "", "key": "sk-x", "priority": 0, "weight": 1, "actor": None}
    main, second = upstreams.create(name="main", **add), upstreams.create(name="second", **add)
    catalog.import_models(main.id, {"gpt-5": None, "other": None, "claude-*": None}, actor=None)
    catalog.import_models(second.id, {"gpt-5": "fast"}, actor=None)
    return catalog.find_model("gpt-5").id


def routes(name):
    return {
        route.upstream.name: route.upstream_model for route in catalog.get_model(catalog.find_model(name).id).routes
    }


def test_upstreams_are_asked_as_before(model):
    rename_model(model, "fast", actor=None)
    assert routes("fast") == {"main": "gpt-5", "second": None}
    assert catalog.find_model("gpt-5") is None
    assert {"fast", "other"} == set(context().directory.snapshot.models)
    rename_model(model, "gpt-5", actor=None)
    assert routes("gpt-5") == {"main": None, "second": "fast"}


def test_tokens_and_limits_go_along(model, alice):
    some = tokens.mint(alice, name="some", models=["other", "gpt-5"], actor=alice).token.id
    every = tokens.mint(alice, name="every", actor=alice).token.id
    for scope, subject, name in (("user", alice.id, "gpt-5"), ("token", some, "gpt-5"), ("token", some, "renamed")):
        allowances.put(scope, subject, model=name, most={Measure.REQUESTS: 5}, actor=None)
    rename_model(model, "renamed", actor=alice)
    assert tokens.get_for(alice, some).models == ["other", "renamed"]
    assert tokens.get_for(alice, every).models is None
    assert [limit.model for limit in allowances.list_for("user", alice.id)] == ["renamed"]
    assert [limit.model for limit in allowances.list_for("token", some)] == ["gpt-5", "renamed"], "none is overwritten"
    entry = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert (entry.action, entry.before, entry.after) == ("model.rename", {"name": "gpt-5"}, {"name": "renamed"})


@pytest.mark.parametrize("name", ["other", "", "two words", "gpt-*"])
def test_what_can_not_be_a_name(model, name):
    with pytest.raises(CatalogError) as refused:
        rename_model(model, name, actor=None)
    assert refused.value.field == "name"
    assert routes("gpt-5")["main"] is None


def test_patterns_and_strangers(model):
    with pytest.raises(CatalogError):
        rename_model(catalog.find_model("claude-*").id, "claude", actor=None)
    with pytest.raises(CatalogError):
        rename_model(99, "x", actor=None)
