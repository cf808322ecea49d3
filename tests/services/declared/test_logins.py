"""Who Realms is to an upstream's proxy, in a configuration file: by reference, and never told to another proxy."""

import pytest
from sqlalchemy import select

from app.extensions import db
from app.models import AuditEntry
from app.services import policies, upstreams
from app.services.context import context
from app.services.declared import applying, writing
from app.services.proxies import proxy_to
from tests.services.declared.files import refused

pytestmark = pytest.mark.any_database

PROXIED = """\
realms: 1
upstreams:
  main:
    kind: openai
    policy: {proxy: "socks5://proxy.example:1080", allow_headers: [x-trace-id], connect_s: 2, total_s: 900.5}
    proxy_login: env:PROXY_LOGIN
"""
LOGIN = "user:geheim"


@pytest.fixture
def proxied(run, monkeypatch):
    """Apply a file with a proxy; then others."""
    monkeypatch.setenv("PROXY_LOGIN", LOGIN)
    run(PROXIED)
    return run


def login_of(upstream):
    return proxy_to(upstreams.by_name(upstream), context().vault).login


@pytest.mark.acceptance("D-8")
def test_a_policy_goes_to_a_file_and_back_and_its_proxys_login_by_reference(proxied):
    main = upstreams.by_name("main")
    assert main.policy == {
        "proxy": "socks5://proxy.example:1080", "allow_headers": ["x-trace-id"], "connect_s": 2.0, "total_s": 900.5
    }  # fmt: skip
    assert login_of("main") == LOGIN
    exported = writing.as_yaml(writing.written())
    assert "proxy_login: env:PROXY_LOGIN" in exported
    assert "geheim" not in exported
    for text in (PROXIED, exported):
        assert proxied(text, work=applying.plan) == []
    upstreams.delete(main.id, actor=None)
    proxied(exported)
    assert (writing.as_yaml(writing.written()), login_of("main")) == (exported, LOGIN)
    rows = db.session.scalars(select(AuditEntry)).all()
    assert "geheim" not in "".join(str((row.before, row.after)) for row in rows)


def test_another_login_behind_the_same_reference_is_taken_over(proxied, monkeypatch):
    monkeypatch.setenv("PROXY_LOGIN", "user:another")
    assert proxied(PROXIED) == [("update", "upstreams.main")]
    assert login_of("main") == "user:another"


def test_a_login_is_never_told_to_another_proxy_than_it_was_named_for(proxied):
    moved = "realms: 1\nupstreams: {main: {policy: {proxy: 'socks5://elsewhere.example:1080'}}}\n"
    assert proxied(moved) == [("update", "upstreams.main")]
    assert (login_of("main"), upstreams.by_name("main").proxy_reference) == ("", "")
    assert "proxy_login" not in writing.as_yaml(writing.written())
    told = refused(proxied, PROXIED.replace('proxy: "socks5://proxy.example:1080", ', ""))
    assert told[0].startswith("line 6: upstreams.main: proxy_login: ")


def test_a_login_that_was_entered_is_kept_and_one_that_is_not_wanted_is_not(proxied):
    policies.set_proxy(upstreams.by_name("main").id, "socks5://proxy.example:1080", actor=None, proxy_login="user:hand")
    assert "proxy_login" not in writing.as_yaml(writing.written()).partition("realms: 1")[2]
    assert "proxy_login: env:MAIN_PROXY_LOGIN" in writing.as_yaml(writing.written(references=True))
    proxied(writing.as_yaml(writing.written()).replace("weight: 1", "weight: 2"))
    assert login_of("main") == "user:hand"
    without = PROXIED.replace("env:PROXY_LOGIN", "none")
    assert proxied(without) == [("update", "upstreams.main")]
    assert login_of("main") == ""
    assert proxied(without) == []
