"""The Codex backend and its OAuth server."""

import base64
import hashlib
import json
import urllib.parse

import httpx2
import pytest

CLIENT = "app_EMoamEEZ73f0CkXaXp7hrann"
REDIRECT = "http://localhost:1455/auth/callback"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
BODY = {
    "model": "gpt-sim",
    "store": False,
    "stream": True,
    "instructions": "be brief",
    "input": [{"role": "user", "content": "hi"}],
}


@pytest.fixture
def web(sim):
    with httpx2.Client(base_url=sim.url) as client:
        yield client


@pytest.fixture
def account(sim):
    return sim.control("POST", "codex", {"email": "a@b.c", "plan": "pro"})


def sign_in(web, **changes) -> dict:
    query = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": REDIRECT,
        "scope": "openid profile email offline_access",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "st&te",
        "login_hint": "u@x.y",
    }
    answer = web.get("/oauth/authorize", params=query)
    assert answer.status_code == 302
    back = urllib.parse.urlsplit(answer.headers["location"])
    assert back.geturl().startswith(REDIRECT)
    found = dict(urllib.parse.parse_qsl(back.query))
    assert found["state"] == "st&te"
    form = {
        "grant_type": "authorization_code",
        "code": found["code"],
        "code_verifier": VERIFIER,
        "client_id": CLIENT,
        "redirect_uri": REDIRECT,
    }
    return form | changes


def claims(token: str) -> dict:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def call(web, tokens, body=BODY, path="/backend-api/codex/responses", **headers):
    headers = {"authorization": f"Bearer {tokens['access_token']}", **headers}
    account = (
        tokens.get("account_id") or claims(tokens["id_token"])["https://api.openai.com/auth"]["chatgpt_account_id"]
    )
    return web.post(path, json=body, headers={"chatgpt-account-id": account} | headers)


def test_sign_in(web):
    form = sign_in(web)
    tokens = web.post("/oauth/token", data=form).json()
    who = claims(tokens["id_token"])
    assert who["email"] == "u@x.y"
    assert who["https://api.openai.com/auth"]["chatgpt_plan_type"] == "plus"
    assert call(web, tokens).status_code == 200
    again = web.post("/oauth/token", data=form)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("wrong", [{"code_verifier": "x"}, {"redirect_uri": "http://x"}, {"client_id": "x"}])
def test_sign_in_is_checked(web, wrong):
    assert web.post("/oauth/token", data=sign_in(web, **wrong)).json()["error"] == "invalid_grant"
    assert web.get("/oauth/authorize", params={"redirect_uri": "http://evil"}).status_code == 400


@pytest.mark.parametrize("kind", ["data", "json"])
def test_refresh_tokens_work_once(web, sim, account, kind):
    form = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": account["refresh_token"]}
    fresh = web.post("/oauth/token", **{kind: form}).json()
    assert fresh["refresh_token"] != account["refresh_token"]
    assert web.post("/oauth/token", **{kind: form}).json()["error"] == "invalid_grant"
    assert call(web, fresh).status_code == 200
    assert sim.control("GET", "stats")["oauth_refreshes"] == 2


def test_call(web, account):
    answer = call(web, account)
    assert "response.completed" in answer.text
    assert answer.headers["x-codex-primary-window-minutes"] == "300"
    state = answer.headers["x-codex-turn-state"]
    assert call(web, account, **{"x-codex-turn-state": state}).headers["x-codex-turn-state"] == state
    compacted = call(web, account, path="/backend-api/codex/responses/compact").json()
    assert compacted["object"] == "response.compaction"
    ident = json.loads(answer.text.partition("data: ")[2].partition("\n")[0])["response"]["id"]
    headers = {"authorization": f"Bearer {account['access_token']}", "chatgpt-account-id": account["account_id"]}
    assert web.get(f"/backend-api/codex/responses/{ident}", headers=headers).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [{"store": True}, {"stream": False}, {"instructions": ""}, {"input": "x"}]
    + [{name: 1} for name in ("max_output_tokens", "temperature", "metadata", "previous_response_id", "background")],
)
def test_what_it_rejects(web, account, wrong):
    assert call(web, account, BODY | wrong).status_code == 400


def test_tokens_are_checked(web, account, sim):
    assert call(web, account | {"access_token": "sim-x"}).status_code == 401
    assert call(web, account | {"account_id": "another"}).status_code == 403
    expired = sim.control("POST", "codex", {"email": "a@b.c", "expires_in": 0})
    assert call(web, expired).json()["error"]["code"] == "token_expired"


def test_quota(web, account, sim):
    sim.control("POST", "codex", {"email": "a@b.c", "quota": {"primary_used": 100, "limit_reached": True}})
    refused = call(web, account)
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "usage_limit_reached"
    assert refused.json()["error"]["resets_in_seconds"] == 9000
    assert refused.headers["x-codex-primary-used-percent"] == "100.0"
    headers = {"authorization": f"Bearer {account['access_token']}", "chatgpt-account-id": account["account_id"]}
    usage = web.get("/backend-api/wham/usage", headers=headers).json()
    assert usage["plan_type"] == "pro"
    assert usage["rate_limit"]["primary_window"]["used_percent"] == 100.0
