"""Upstreams in the admin room."""

import pytest
from pydantic import ValidationError

from app.extensions import db
from app.services import accounts, audit, catalog, upstreams
from app.settings import Settings
from tests.rooms import UPSTREAM_KEY

NEW = {"name": "main", "kind": "openai", "key": UPSTREAM_KEY}


@pytest.fixture
def keyed(provider):
    provider.key = UPSTREAM_KEY
    return provider


def kept(app):
    with app.app_context():
        return {u.name: u for u in upstreams.list_all()}


def steps(page):
    return [
        (li.h3.contents[0].strip(), li.find(class_="badge").get_text(), li.p.get_text(" ").strip())
        for li in page.soup.select(".guide > li:not(.begun)")
    ]


def test_a_new_upstream_is_tested_at_once_and_leads_to_its_models(app, admin_there, keyed):
    answer = admin_there.submit("/admin/upstreams/new", NEW | {"base_url": keyed.url + "/"})
    assert answer.location == "/admin/upstreams/1"
    page = admin_there.get(answer.location)
    assert [step[:2] for step in steps(page)] == [
        ("Address found and allowed", "ok"),
        ("Connected", "ok"),
        ("Certificate trusted", "ok"),
        ("Key taken, models listed", "ok"),
    ]
    assert "2 models listed" in page.text
    assert page.soup.find("a", href="/admin/upstreams/1/models", attrs={"role": "button"})
    assert kept(app)["main"].base_url == keyed.url
    assert steps(admin_there.get(answer.location)) == [], "shown once"


@pytest.mark.acceptance("D-8")
def test_the_key_is_never_shown_again(admin_there, furnished):
    admin_there.press("/admin/upstreams/1", "/admin/upstreams/1/test")
    for path in ("", "/1", "/1/edit", "/1/models", "/1/credentials/1/replace", "/1/delete"):
        page = admin_there.get("/admin/upstreams" + path)
        assert UPSTREAM_KEY not in page.html, path
    assert f"…{UPSTREAM_KEY[-4:]}" in admin_there.get("/admin/upstreams/1").text


def test_a_refused_form_forgets_the_key(admin_there, keyed):
    page = admin_there.submit("/admin/upstreams/new", NEW | {"base_url": "gopher://x"})
    assert "Enter an http or https address" in page.text
    assert UPSTREAM_KEY not in page.html
    assert page.soup.find(id="base_url")["value"] == "gopher://x"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"name": ""}, "Please fill in this field."),
        ({"base_url": "http://user:pw@host/"}, "Leave out user name, password"),
        ({"base_url": "javascript:alert(1)"}, "Enter an http or https address"),
        ({"key": ""}, "Enter something here."),
        ({"key": "with space"}, "A key has no spaces"),
        ({"weight": "many"}, "Not a valid integer value."),
        ({"weight": "0"}, "Enter a number from 1"),
        ({"kind": "rocket"}, "Not a valid choice."),
    ],
)
def test_mistakes_are_told(app, admin_there, fields, told):
    assert told in admin_there.submit("/admin/upstreams/new", NEW | fields).text
    assert kept(app) == {}


def test_an_empty_address_is_the_vendors_own_and_no_key_is_a_choice(app, admin_there):
    page = admin_there.get("/admin/upstreams/new")
    assert "https://api.openai.com/v1" in page.text
    with app.app_context():
        upstreams.create(name="a", kind="openai", base_url="", key=None, priority=0, weight=1, actor=None)
    assert "…" in admin_there.get("/admin/upstreams/1").text


def test_an_upstream_without_key(app, admin_there, provider):
    form = {"name": "local", "base_url": provider.url, "no_key": "y"}
    admin_there.follow(admin_there.submit("/admin/upstreams/new", form))
    assert "authorization" not in {name.lower() for name in provider.seen[0][1] if name != "Authorization"}
    assert kept(app)["local"].credentials[0].last4 == ""


def test_a_wrong_key_is_told_in_the_last_step(admin_there, keyed):
    admin_there.submit("/admin/upstreams/new", NEW | {"base_url": keyed.url, "key": "sk-wrong-key-0123456789"})
    last = steps(admin_there.get("/admin/upstreams/1"))[-1]
    assert last[1] == "failed"
    assert "refuses this key (401)" in last[2]


def test_an_upstreams_words_are_only_text(admin_there, provider):
    provider.status, provider.body = 500, b"<script>alert(1)</script>"
    admin_there.submit("/admin/upstreams/new", NEW | {"base_url": provider.url, "name": "<img src=x>"})
    for path in ("/admin/upstreams/1", "/admin/upstreams", "/admin/upstreams/1/models", "/admin/models", "/admin"):
        page = admin_there.get(path)
        assert "<script>alert" not in page.html, path
        assert "<img src=x>" not in page.html, path
    assert "<img src=x>" in admin_there.get("/admin/upstreams").text


@pytest.mark.acceptance("D-10")
def test_another_address_needs_the_key_again(app, admin_there, furnished):
    page = admin_there.submit("/admin/upstreams/1/edit", {"base_url": "https://elsewhere.example"})
    assert "Another address needs the key again" in page.text
    answer = admin_there.submit("/admin/upstreams/1/edit", {"name": "renamed", "priority": "5"})
    assert answer.location == "/admin/upstreams/1"
    assert kept(app)["renamed"].priority == 5


@pytest.mark.acceptance("C-10")
@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", " javascript:alert(1)", "JAVASCRIPT://x", "vbscript:x", "file:///etc"],
)
def test_a_link_is_of_the_web(app, admin_there, furnished, url):
    page = admin_there.submit("/admin/upstreams/1/edit", {"base_url": url, "key": UPSTREAM_KEY})
    assert page.soup.find(id="base_url")["aria-invalid"] == "true"
    for name in ("public_url", "codex_login_url"):
        with pytest.raises(ValidationError):
            Settings.model_validate({name: url})


@pytest.mark.acceptance("D-4")
def test_a_test_sends_what_it_always_sends_whatever_is_posted(admin_there, furnished, provider):
    more = {
        "path": "/v1/files",
        "method": "DELETE",
        "header": "x-evil: 1",
        "body": "{{7*7}}",
        "base_url": "http://evil",
    }
    before = len(provider.seen)
    for extra in ({}, more):
        form = {"csrf_token": admin_there.token()} | extra
        assert admin_there.follow(admin_there.post("/admin/upstreams/1/test?path=/v1/files", form)).status < 400
    (path, plain), (same_path, told) = provider.seen[before:]
    assert (path, dict(plain)) == (same_path, dict(told))
    assert path == "/v1/models"


def test_off_and_on(app, admin_there, furnished):
    admin_there.press("/admin/upstreams/1", "/admin/upstreams/1/disable")
    assert not kept(app)["main"].enabled
    assert "disabled" in admin_there.get("/admin/upstreams").text
    admin_there.press("/admin/upstreams/1", "/admin/upstreams/1/enable")
    assert kept(app)["main"].enabled


def test_deleting_asks_first(app, admin_there, furnished):
    assert "This can't be undone." in admin_there.get("/admin/upstreams/1/delete").text
    assert "main" in kept(app)
    assert admin_there.submit("/admin/upstreams/1/delete").location == "/admin/upstreams"
    assert kept(app) == {}
    assert "No upstreams yet" in admin_there.get("/admin/upstreams").text
    assert admin_there.get("/admin/upstreams/1").status == 404


def models(app):
    with app.app_context():
        return {m.name: [r.upstream_model for r in m.routes] for m in catalog.list_models()}


def test_picking_models(app, admin_there, furnished, provider):
    provider.models = ["m-1", "m-2", "<b>m-3</b>"]
    page = admin_there.get("/admin/upstreams/1/models")
    ticks = [box["value"] for box in page.soup.find_all(attrs={"name": "ticked"})]
    assert ticks == ["<b>m-3</b>", "m-2"], "what is served already isn't offered"
    form = {"ticked": ["m-2"], "others": "big = m-2-large\n\n  wild-*  \n"}
    admin_there.submit("/admin/upstreams/1/models", form)
    assert models(app) == {"gpt-5": [None], "small": ["m-1"], "m-2": [None], "big": ["m-2-large"], "wild-*": [None]}


def test_picking_everything(app, admin_there, furnished, provider):
    provider.models = [f"m-{number}" for number in range(300)]
    page = admin_there.submit("/admin/upstreams/1/models", {"everything": "y"})
    assert page.status == 302
    assert len(models(app)) == 301


def test_picking_nothing_or_nonsense(app, admin_there, furnished):
    assert "Tick at least one model" in admin_there.submit("/admin/upstreams/1/models").text
    page = admin_there.submit("/admin/upstreams/1/models", {"others": "a b"})
    assert "A model's name has no spaces" in page.text
    assert page.soup.find(id="others").get_text().strip() == "a b"


def test_a_list_that_cannot_be_fetched_leaves_names_by_hand(app, admin_there, furnished, provider):
    provider.status, provider.body = 503, b"busy"
    page = admin_there.get("/admin/upstreams/1/models")
    assert "could not be fetched" in page.text
    admin_there.submit("/admin/upstreams/1/models", {"others": "by-hand"})
    assert "by-hand" in models(app)


@pytest.mark.acceptance("D-7")
def test_changes_name_who_made_them(app, admin_there, provider):
    admin_there.submit("/admin/upstreams/new", NEW | {"base_url": provider.url})
    with app.app_context():
        entry = audit.list_entries()[0]
        assert (entry.actor, entry.action) == ("admin@example.com", "upstream.create")
        assert accounts.by_email(entry.actor)


def test_what_a_file_made_says_so(app, admin_there, furnished):
    pages = ("/admin/upstreams/1", "/admin/models/1")
    assert not any("configuration file" in admin_there.get(page).text for page in pages)
    with app.app_context():
        upstreams.by_name("main").declared = catalog.get_model(1).declared = True
        db.session.commit()
    assert all("configuration file" in admin_there.get(page).text for page in pages)


def test_each_step_is_sent_when_it_begins(app, admin_there, keyed):
    """The page is written while the test goes on: what the reader has is more and more of it, without a script."""
    admin_there.submit("/admin/upstreams/new", NEW | {"base_url": keyed.url})
    answer = admin_there.client.get("/admin/upstreams/1", buffered=False)
    portions, sent = [], ""
    for portion in answer.response:
        sent += portion.decode()
        if not portions or keyed.seen or "Connected" in sent:
            portions.append((len(keyed.seen), sent.count("<li")))
        if "Certificate trusted" in sent and "Key taken" not in sent:
            assert keyed.seen == [], "the provider was asked before it was said"
    answer.close()
    assert len(keyed.seen) == 1
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert len({count for _, count in portions}) > 3


def test_a_test_is_made_once_and_by_a_button_alone(admin_there, furnished, provider):
    provider.seen.clear()
    admin_there.get("/admin/upstreams/1")
    assert provider.seen == []
    admin_there.press("/admin/upstreams/1", "/admin/upstreams/1/test")
    assert provider.seen == [], "the page that follows makes it"
    assert len(steps(admin_there.get("/admin/upstreams/1"))) >= 4
    count = len(provider.seen)
    admin_there.get("/admin/upstreams/1")
    assert len(provider.seen) == count
