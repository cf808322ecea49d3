"""Policies are saved for good, read by every worker, and can be tried without calling anybody."""

import pytest

from app.extensions import db
from app.protocol.policy import Policy
from app.services import policies, upstreams
from app.services.context import context
from app.services.fields import FieldError
from app.services.policies import PolicyError

pytestmark = pytest.mark.any_database


def add(**more):
    fields = {
        "name": "a",
        "kind": "openai",
        "base_url": "",
        "key": "sk-secret",
        "priority": 0,
        "weight": 1,
        "actor": None,
    }
    return upstreams.create(**fields | more)


def test_a_saved_policy_is_what_calls_are_made_by(ctx):
    made = add()
    assert policies.policy_of(made) == Policy()
    policies.save(made.id, '{"endpoints": ["chat.create"], "query": "a=b"}', actor=None)
    directory = context().directory
    directory.refresh()
    entry = directory.snapshot.upstreams[made.id]
    assert entry.policy == Policy(endpoints=("chat.create",), query="a=b")
    assert next(iter(entry.places.values())).policy == entry.policy
    assert upstreams.get(made.id).policy == {"endpoints": ["chat.create"], "query": "a=b"}
    policies.save(made.id, "", actor=None)
    assert upstreams.get(made.id).policy is None


def test_a_bad_policy_is_refused_and_nothing_changes(ctx):
    made = add()
    with pytest.raises(PolicyError) as refused:
        policies.save(made.id, '{"endpoint": []}', actor=None)
    assert refused.value.field == "policy"
    with pytest.raises(PolicyError):
        policies.save(99, "{}", actor=None)
    assert upstreams.get(made.id).policy is None


def test_an_upstream_whose_policy_is_not_understood_is_not_called(ctx):
    made = add()
    db.session.execute(db.text("UPDATE upstreams SET policy = '{\"future\": 1}'"))
    db.session.execute(db.text("UPDATE meta SET value = value + 1 WHERE name = 'generation'"))
    db.session.commit()
    context().directory.refresh()
    assert not context().directory.snapshot.upstreams[made.id].enabled
    with pytest.raises(PolicyError):
        policies.policy_of(upstreams.get(made.id))


def test_a_preset_gives_what_is_left_empty(ctx):
    made = add(kind="", preset="deepseek")
    assert (made.kind, made.base_url, made.policy["preset"]) == ("openai", "https://api.deepseek.com", "deepseek")
    assert policies.policy_of(made).endpoints == ("chat.create",)
    own = add(name="b", kind="openai", preset="deepseek", base_url="https://proxy.example/v1")
    assert own.base_url == "https://proxy.example/v1"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"preset": "nobody"}, "preset"),
        ({"preset": "anthropic"}, "preset"),
        ({"preset": "azure"}, "base_url"),
        ({"kind": ""}, "kind"),
    ],
)
def test_a_beginning_that_is_none_is_refused(ctx, fields, field):
    with pytest.raises(FieldError) as refused:
        add(**fields)
    assert refused.value.field == field


def test_a_dry_run_shows_the_request_but_for_the_secret(ctx):
    made = add()
    text = '{"auth": "api-key", "set": {"top_p": 1}, "set_headers": {"x-title": "T"}, "query": "v=1"}'
    told = policies.dry_run(made, text, endpoint="chat.create", body='{"model": "m", "messages": []}')
    assert told.startswith("POST https://api.openai.com/v1/chat/completions?v=1\n")
    assert "api-key: …" in told
    assert "x-title: T" in told
    assert '"top_p": 1' in told
    assert "sk-secret" not in told
    assert "isn't offered" in policies.dry_run(made, '{"endpoints": []}', endpoint="chat.create", body='{"model": "m"}')


def test_a_dry_run_tells_how_long_the_upstream_is_given(ctx):
    made, body = add(), '{"model": "m"}'
    told = policies.dry_run(made, '{"connect_s": 2.5, "total_s": 900}', endpoint="chat.create", body=body)
    assert told.startswith("Given up there after: connect_s 2.5 s, total_s 900 s.\nPOST ")


@pytest.mark.parametrize(
    ("text", "endpoint", "body", "field"),
    [
        ("{", "chat.create", '{"model":"m"}', "policy"),
        ("{}", "messages.create", '{"model":"m"}', "endpoint"),
        ("{}", "nothing", '{"model":"m"}', "endpoint"),
        ("{}", "chat.create", "{", "body"),
        ("{}", "chat.create", '{"model":5}', "body"),
        ("{}", "chat.create", '{"model":"m","stream":5}', "body"),
    ],
)
def test_what_cannot_be_tried_says_why(ctx, text, endpoint, body, field):
    with pytest.raises(PolicyError) as refused:
        policies.dry_run(add(), text, endpoint=endpoint, body=body)
    assert refused.value.field == field
