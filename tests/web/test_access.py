"""Who may open which page: every rule of the rooms, for nobody, a user and an administrator."""

import pytest

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
    "/admin/users/<int:user_id>/password": ADMIN_ONLY,
    "/admin/users/<int:user_id>/second-factor/remove": ADMIN_ONLY,
    "/admin/users/<int:user_id>/<any(enable, disable):what>": ADMIN_ONLY,
}
GONE = {"/setup", "/join", "/reset", "/tokens/<int:token_id>/secret", "/login/code", "/account/recovery-codes"}
GONE |= {"/forgot", "/register"}
"""Open only at their moment: set-up is over, the secret was shown, no code is awaited, no mail can be sent."""
OWN = {"/usage/<record_id>"}
"""Shows alice what is hers, and nobody else."""


def is_file(rule):
    return rule.rule.endswith(".csv")


def rules(app):
    return [r for r in app.url_map.iter_rules() if r.endpoint.split(".")[0] in {"console", "admin"}]


def address(rule):
    values = {name: PLACES.get(name, "disable") for name in rule.arguments}
    if "/accounts/" in rule.rule:
        values["upstream_id"] = 2  # the one that has such pages
    return rule.build(values)[1]


def test_every_rule_is_listed(app):
    assert {rule.rule for rule in rules(app)} == set(RULES)


def test_nobody_gets_to_the_sign_in_page(app, stranger, furnished):
    for rule in rules(app):
        if RULES[rule.rule] is OPEN or "GET" not in rule.methods:
            continue
        page = stranger.get(address(rule))
        assert (page.status, page.location.split("?")[0]) == (302, "/login"), rule.rule


@pytest.mark.acceptance("H-5")
def test_a_user_opens_the_console_and_learns_nothing_of_administration(app, alice_there, furnished):
    for rule in rules(app):
        if RULES[rule.rule] is OPEN or "GET" not in rule.methods or rule.rule in GONE:
            continue
        page = alice_there.get(address(rule))
        assert page.status == (404 if RULES[rule.rule] is ADMIN_ONLY else 200), rule.rule
    assert alice_there.get("/admin/upstreams/1/test").status == 404, "405 would tell that it exists"
    unknown, known = alice_there.get("/admin/no-such-page"), alice_there.get("/admin/users")
    assert unknown.soup.main.h1 == known.soup.main.h1


def test_an_administrator_opens_everything(app, admin_there, furnished):
    for rule in rules(app):
        if RULES[rule.rule] is ADMIN_ONLY and "GET" in rule.methods:
            assert admin_there.get(address(rule)).status == 200, rule.rule


def test_no_state_changes_without_a_post(app):
    """A rule that takes POST takes GET only where GET shows the form."""
    for rule in rules(app):
        assert rule.methods <= {"GET", "HEAD", "OPTIONS", "POST"}, rule.rule


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


def test_a_posted_role_is_ignored(app, alice_there):
    form = {"role": "admin", "user_id": "2", "csrf_token": alice_there.token()}
    alice_there.post("/account/language", form | {"locale": "en"})
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
