"""Who may open which page: every rule of the rooms, for nobody, a user and an administrator."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.extensions import Base, db
from app.models import SignIn, Token, User
from app.models.base import utcnow
from app.models.meta import LOOKED, PENDING_LOOK, PENDING_SEEN
from app.services import accounts
from tests.rooms import ALICE, filled, later

OPEN, SIGNED_IN, ADMIN_ONLY = "open", "signed in", "admin only"
PLACES = {"upstream_id": 1, "credential_id": 1, "model_id": 1, "route_id": 1, "user_id": 1, "token_id": 1}
PLACES |= {"record_id": f"{1:032x}", "price_id": 1, "by": "model", "step": "hours"}
PLACES |= {"row_id": 1, "announcement_id": 1}

# Every rule with who may use it; a rule that isn't here fails the tests below.
RULES = {
    "/login": OPEN,
    "/join": OPEN,
    "/reset": OPEN,
    "/forgot": OPEN,
    "/register": OPEN,
    "/check": OPEN,
    "/docs": OPEN,
    "/catalogue": SIGNED_IN,
    "/announcements/<int:announcement_id>/read": SIGNED_IN,
    "/setup": OPEN,
    "/login/code": OPEN,
    "/language": OPEN,
    "/": SIGNED_IN,
    "/logout": SIGNED_IN,
    "/confirm": SIGNED_IN,
    "/account": SIGNED_IN,
    "/account/password": SIGNED_IN,
    "/account/language": SIGNED_IN,
    "/account/end-others": SIGNED_IN,
    "/account/time-zone": SIGNED_IN,
    "/account/sign-ins/<name>/end": SIGNED_IN,
    "/account/second-factor": SIGNED_IN,
    "/account/second-factor/on": SIGNED_IN,
    "/account/second-factor/off": SIGNED_IN,
    "/account/second-factor/codes": SIGNED_IN,
    "/account/recovery-codes": SIGNED_IN,
    "/connect": SIGNED_IN,
    "/tokens": SIGNED_IN,
    "/tokens/new": SIGNED_IN,
    "/tokens/<int:token_id>": SIGNED_IN,
    "/tokens/<int:token_id>/rotate": SIGNED_IN,
    "/tokens/<int:token_id>/secret": SIGNED_IN,
    "/tokens/<int:token_id>/revoke": SIGNED_IN,
    "/tokens/<int:token_id>/limits": SIGNED_IN,
    "/usage": SIGNED_IN,
    "/usage/<record_id>": SIGNED_IN,
    "/usage/conversations": SIGNED_IN,
    "/usage/live": SIGNED_IN,
    "/usage/live/<call_id>/end": SIGNED_IN,
    "/usage/requests.csv": SIGNED_IN,
    "/usage/<any(hours, days):step>.csv": SIGNED_IN,
    "/admin": ADMIN_ONLY,
    "/admin/upstreams": ADMIN_ONLY,
    "/admin/upstreams/new": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/test": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/edit": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/policy": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/accounts/connect": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/accounts/sign-in": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/accounts/finish": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/accounts/import": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/accounts/<int:credential_id>/allowance": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/<any(enable, disable):what>": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/delete": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/models": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/credentials/new": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/credentials/<int:credential_id>/replace": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/credentials/<int:credential_id>/<any(enable, disable):what>": ADMIN_ONLY,
    "/admin/upstreams/<int:upstream_id>/credentials/<int:credential_id>/delete": ADMIN_ONLY,
    "/admin/models": ADMIN_ONLY,
    "/admin/models/<int:model_id>": ADMIN_ONLY,
    "/admin/models/<int:model_id>/<any(enable, disable):what>": ADMIN_ONLY,
    "/admin/models/<int:model_id>/delete": ADMIN_ONLY,
    "/admin/models/<int:model_id>/rename": ADMIN_ONLY,
    "/admin/models/<int:model_id>/routes/new": ADMIN_ONLY,
    "/admin/models/<int:model_id>/routes/<int:route_id>": ADMIN_ONLY,
    "/admin/models/<int:model_id>/routes/<int:route_id>/delete": ADMIN_ONLY,
    "/admin/models/<int:model_id>/prices": ADMIN_ONLY,
    "/admin/models/<int:model_id>/prices/<int:price_id>/delete": ADMIN_ONLY,
    "/admin/models/<int:model_id>/limits": ADMIN_ONLY,
    "/admin/prices": ADMIN_ONLY,
    "/admin/prices/again": ADMIN_ONLY,
    "/admin/requests": ADMIN_ONLY,
    "/admin/live": ADMIN_ONLY,
    "/admin/live/<call_id>/end": ADMIN_ONLY,
    "/admin/requests/<record_id>": ADMIN_ONLY,
    "/admin/requests.csv": ADMIN_ONLY,
    "/admin/requests-<any(model, user_id, token_id, upstream_id, hour, day):by>.csv": ADMIN_ONLY,
    "/admin/users": ADMIN_ONLY,
    "/admin/users/<int:user_id>/limits": ADMIN_ONLY,
    "/admin/users/new": ADMIN_ONLY,
    "/admin/users/invite": ADMIN_ONLY,
    "/admin/users/invite/<digest>/withdraw": ADMIN_ONLY,
    "/admin/users/<int:user_id>/reset-link": ADMIN_ONLY,
    "/admin/users/<int:user_id>/sign-out": ADMIN_ONLY,
    "/admin/users/<int:user_id>/tokens/<int:token_id>/revoke": ADMIN_ONLY,
    "/admin/audit": ADMIN_ONLY,
    "/admin/explain": ADMIN_ONLY,
    "/admin/objects": ADMIN_ONLY,
    "/admin/objects/<int:row_id>/forget": ADMIN_ONLY,
    "/admin/announcements": ADMIN_ONLY,
    "/admin/announcements/<int:announcement_id>/delete": ADMIN_ONLY,
    "/admin/settings": ADMIN_ONLY,
    "/admin/users/<int:user_id>": ADMIN_ONLY,
    "/admin/users/<int:user_id>/edit": ADMIN_ONLY,
    "/admin/users/<int:user_id>/password": ADMIN_ONLY,
    "/admin/users/<int:user_id>/second-factor/remove": ADMIN_ONLY,
    "/admin/users/<int:user_id>/<any(enable, disable):what>": ADMIN_ONLY,
}
ASKED = {
    "/admin/announcements/<int:announcement_id>/delete",
    "/admin/models/<int:model_id>/delete",
    "/admin/models/<int:model_id>/prices/<int:price_id>/delete",
    "/admin/models/<int:model_id>/routes/<int:route_id>/delete",
    "/admin/objects/<int:row_id>/forget",
    "/admin/requests-<any(model, user_id, token_id, upstream_id, hour, day):by>.csv",
    "/admin/requests.csv",
    "/admin/settings",
    "/admin/upstreams/<int:upstream_id>/accounts/connect",
    "/admin/upstreams/<int:upstream_id>/accounts/import",
    "/admin/upstreams/<int:upstream_id>/accounts/sign-in",
    "/admin/upstreams/<int:upstream_id>/credentials/<int:credential_id>/<any(enable, disable):what>",
    "/admin/upstreams/<int:upstream_id>/credentials/<int:credential_id>/delete",
    "/admin/upstreams/<int:upstream_id>/credentials/<int:credential_id>/replace",
    "/admin/upstreams/<int:upstream_id>/credentials/new",
    "/admin/upstreams/<int:upstream_id>/delete",
    "/admin/upstreams/<int:upstream_id>/edit",
    "/admin/upstreams/<int:upstream_id>/policy",
    "/admin/upstreams/new",
    "/admin/users/<int:user_id>/edit",
    "/admin/users/<int:user_id>/password",
    "/admin/users/<int:user_id>/reset-link",
    "/admin/users/<int:user_id>/second-factor/remove",
    "/admin/users/invite",
    "/admin/users/new",
}
"""What asks for the password again: keys, roles, settings, exports, deletions."""
GONE = {"/setup", "/join", "/reset", "/tokens/<int:token_id>/secret", "/login/code", "/account/recovery-codes"}
GONE |= {"/forgot", "/register"}
"""Open only at their moment: set-up is over, the secret was shown, no code is awaited, no mail can be sent."""
MOVING = (LOOKED, PENDING_LOOK, PENDING_SEEN)
"""What workers write by themselves."""
OWN = {"/usage/<record_id>"}
"""Shows alice what is hers, and nobody else."""


def is_file(rule):
    return rule.rule.endswith(".csv")


def everything(app):
    """Every row of every table, but for what says that somebody was there, or looks at calls under way."""
    with app.app_context():
        db.session.remove()
        tables = [table for table in Base.metadata.sorted_tables if table.name != "sign_ins"]
        found = {table.name: db.session.execute(select(table)).all() for table in tables}
        return {
            name: sorted(repr(row) for row in rows if not any(moving in row for moving in MOVING))
            for name, rows in found.items()
        }


def rules(app):
    return [r for r in app.url_map.iter_rules() if r.endpoint.split(".")[0] in {"console", "admin"}]


def address(rule):
    values = {name: PLACES.get(name, "disable") for name in rule.arguments}
    if "/accounts/" in rule.rule:
        values["upstream_id"] = 2  # the one that has such pages
    return rule.build(values)[1]


@pytest.mark.acceptance("D-1")
def test_every_rule_is_listed(app):
    assert {rule.rule for rule in rules(app)} == set(RULES)


@pytest.mark.acceptance("D-1")
def test_nobody_gets_to_the_sign_in_page(app, stranger, furnished):
    for rule in rules(app):
        if RULES[rule.rule] is OPEN or "GET" not in rule.methods:
            continue
        page = stranger.get(address(rule))
        assert (page.status, page.location.split("?")[0]) == (302, "/login"), rule.rule


@pytest.mark.acceptance("D-1", "H-5")
def test_a_user_opens_the_console_and_learns_nothing_of_administration(app, alice_there, furnished):
    for rule in rules(app):
        if RULES[rule.rule] is OPEN or "GET" not in rule.methods or rule.rule in GONE:
            continue
        page = alice_there.get(address(rule))
        assert page.status == (404 if RULES[rule.rule] is ADMIN_ONLY else 200), rule.rule
    assert alice_there.get("/admin/upstreams/1/test").status == 404, "405 would tell that it exists"
    unknown, known = alice_there.get("/admin/no-such-page"), alice_there.get("/admin/users")
    assert unknown.soup.main.h1 == known.soup.main.h1


@pytest.mark.acceptance("D-1")
def test_an_administrator_opens_everything(app, admin_there, furnished):
    for rule in rules(app):
        if RULES[rule.rule] is ADMIN_ONLY and "GET" in rule.methods:
            assert admin_there.get(address(rule)).status == 200, rule.rule


@pytest.mark.acceptance("C-1")
def test_no_state_changes_without_a_post(app, admin_there, furnished):
    """Whatever is opened, every row stays as it is, but for that somebody was there."""
    before = everything(app)
    for rule in rules(app):
        assert rule.methods <= {"GET", "HEAD", "OPTIONS", "POST"}, rule.rule
        status = admin_there.get(address(rule)).status
        assert (status == 405) == ("GET" not in rule.methods), rule.rule
    after = everything(app)
    assert {name for name in before if before[name] != after[name]} == set()


@pytest.mark.acceptance("C-14")
def test_what_is_sensitive_asks_for_the_password_again_whichever_way_it_is_asked_for(app, admin_there, furnished):
    later(app, SignIn, confirmed_at=timedelta(minutes=16))
    before, form = everything(app), {"csrf_token": admin_there.token()}
    asked = set()
    for rule in rules(app):
        ways = {"GET": admin_there.get, "POST": lambda path: admin_there.post(path, form)}
        if rule.rule in ASKED:
            asks = [(ways[way](address(rule)).location or "").split("?")[0] for way in rule.methods & set(ways)]
            assert set(asks) == {"/confirm"}, rule.rule
            asked.add(rule.rule)
        elif "GET" in rule.methods:
            assert not (admin_there.get(address(rule)).location or "").startswith("/confirm"), rule.rule
    assert asked == ASKED
    assert everything(app) == before


@pytest.mark.acceptance("D-1")
def test_who_is_locked_out_is_nobody(app, alice_there, furnished):
    """The sign-in as it was before: locking out ends sign-ins, and a disabled user's is worth nothing by itself."""
    with app.app_context():
        db.session.execute(update(User).where(User.email == ALICE).values(disabled_at=utcnow()))
        db.session.commit()
    for rule in rules(app):
        if RULES[rule.rule] is not OPEN and "GET" in rule.methods:
            page = alice_there.get(address(rule))
            assert (page.status, page.location.split("?")[0]) == (302, "/login"), rule.rule
    assert alice_there.get("/v1/models", headers={"Authorization": f"Bearer {furnished}"}).status == 401


@pytest.mark.acceptance("H-5")
@pytest.mark.parametrize("path", ["/admin", "/admin/", "/admin/upstreams", "/admin/upstreams/1/test", "/admin/nope"])
def test_administration_looks_alike_to_nobody(stranger, path):
    assert stranger.get(path).location.split("?")[0] == "/login"


@pytest.mark.acceptance("A-9")
def test_a_users_token_opens_no_page(stranger, furnished):
    for path in ("/tokens", "/admin"):
        for header in ({"Authorization": f"Bearer {furnished}"}, {"x-api-key": furnished}):
            assert stranger.get(path, headers=header).location.startswith("/login")


@pytest.mark.acceptance("A-9")
def test_a_browsers_sign_in_opens_nothing_for_machines(alice_there, furnished):
    assert alice_there.get("/tokens").status == 200
    for path in ("/v1/models", "/v1/chat/completions", "/v1/usage"):
        assert alice_there.get(path).status == 401
    assert alice_there.post("/v1/responses", {"model": "gpt-5"}).status == 401


MORE = {"role": "admin", "is_admin": "1", "user_id": "2", "owner": "2", "balance": "9", "disabled_at": "", "id": "2"}
"""What no form of a user has."""


@pytest.mark.acceptance("D-3")
def test_what_a_form_does_not_show_cannot_be_set_by_it(app, alice_there, furnished):
    """Every form of a user, sent as it is shown and with more: neither right nor owner changes, and nothing breaks."""
    for rule in rules(app):
        if RULES[rule.rule] is ADMIN_ONLY or "GET" not in rule.methods or rule.rule in GONE:
            continue
        page = alice_there.get(address(rule))
        for form in page.soup.main.find_all("form", method="post") if page.soup.main else ():
            where = form.get("action") or address(rule)
            assert alice_there.post(where, filled(form, {}) | MORE).status < 500, where
    made = {"name": "more", "scope": "all", "expires_on": "", "networks": ""}
    alice_there.submit("/tokens/new", made)
    alice_there.post("/tokens/new", filled(alice_there.get("/tokens/new").form("/tokens/new"), made) | MORE)
    with app.app_context():
        alice = accounts.by_email(ALICE)
        assert (alice.id, alice.role, alice.disabled_at) == (1, "user", None)
        assert {token.user_id for token in db.session.scalars(select(Token))} == {1}
        assert [user.role for user in accounts.list_users()].count("admin") == 1
    assert alice_there.get("/admin").status == 404


def test_every_page_has_a_title_and_one_heading(app, admin_there, furnished):
    titles = {}
    for rule in rules(app):
        if "GET" not in rule.methods or rule.rule in GONE or RULES[rule.rule] is OPEN:
            continue
        if "token_id" in rule.arguments or rule.rule in OWN or is_file(rule):
            continue
        page = admin_there.get(address(rule))
        assert page.title.endswith("· Realms"), rule.rule
        assert len(page.soup.find_all("h1")) == 1, rule.rule
        titles.setdefault(page.title, []).append(rule.rule)
