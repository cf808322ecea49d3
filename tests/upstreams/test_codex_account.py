"""Sign-ins and tokens of ChatGPT accounts."""

import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from app.upstreams import codex_account
from app.upstreams.codex_account import CLAIMS, Pass, TokensError, claims_of, is_spent, pasted, tokens_of

NOW = 1_000_000.0


def jwt(**claims):
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{part}.signature"


IDENTITY = jwt(email="a@b.c", **{CLAIMS: {"chatgpt_account_id": "acc-1", "chatgpt_plan_type": "pro"}})
ANSWER = {"access_token": "at", "refresh_token": "rt", "id_token": IDENTITY, "expires_in": 1000}


def answer(**changes):
    return json.dumps(ANSWER | changes).encode()


def test_a_token_answer_says_who_and_how_long():
    tokens = tokens_of(answer(), now=NOW)
    assert (tokens.account_id, tokens.email, tokens.plan) == ("acc-1", "a@b.c", "pro")
    assert (tokens.begins, tokens.renew_at, tokens.ends) == (NOW, NOW + 700, NOW + 1000)


def test_what_a_renewal_leaves_out_stays_and_the_account_does_in_any_case():
    before = tokens_of(answer(), now=NOW)
    other = jwt(**{CLAIMS: {"chatgpt_account_id": "acc-2"}})
    after = tokens_of(answer(refresh_token=None, id_token=other), now=NOW, before=before)
    assert (after.refresh_token, after.account_id, after.email, after.plan) == ("rt", "acc-1", "a@b.c", "pro")


@pytest.mark.parametrize("wrap", [lambda inner: {"OPENAI_API_KEY": None, "tokens": inner}, lambda inner: inner])
def test_an_auth_json_or_the_tokens_alone(wrap):
    inner = {"access_token": jwt(iat=NOW - 100, exp=NOW + 900), "refresh_token": "rt", "account_id": "acc-9"}
    tokens = codex_account.tokens_of_file(json.dumps(wrap(inner)), now=NOW)
    assert (tokens.account_id, tokens.begins, tokens.renew_at, tokens.ends) == (
        "acc-9",
        NOW - 100,
        NOW + 600,
        NOW + 900,
    )


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        answer(access_token=""),
        answer(refresh_token=7),
        answer(id_token="a.b.c"),
        answer(access_token="two\nlines"),
        answer(id_token=jwt(**{CLAIMS: {"chatgpt_account_id": "has space"}})),
    ],
)
def test_what_cant_be_used_is_refused_without_repeating_it(body):
    with pytest.raises(TokensError) as refused:
        tokens_of(body, now=NOW)
    assert "rt" not in str(refused.value).split()


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:1455/auth/callback?code=c%2B1&state=s%261",
        "  http://localhost:1455/auth/callback?code=c%2B1&scope=x&state=s%261 ",
        "?code=c%2B1&state=s%261",
        "code=c%2B1&state=s%261",
        "c+1#s&1",
    ],
)
def test_what_people_paste(text):
    assert pasted(text) == ("c+1", "s&1")


@pytest.mark.parametrize("text", ["", "c", "http://localhost:1455/auth/callback?error=denied", "#s"])
def test_what_misses_something(text):
    assert not all(pasted(text))


def test_the_page_to_sign_in_at():
    url = codex_account.authorize_url("https://a.example", state="s", verifier="v")
    assert url.startswith("https://a.example/oauth/authorize?")
    query = parse_qs(urlsplit(url).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == ["http://localhost:1455/auth/callback"]
    assert query["codex_cli_simplified_flow"] == query["id_token_add_organizations"] == ["true"]


@pytest.mark.parametrize(
    ("status", "body", "spent"),
    [
        (400, b'{"error":"invalid_grant"}', True),
        (401, b'{"error":{"code":"refresh_token_reused"}}', True),
        (400, b'{"error":"invalid_request"}', False),
        (500, b'{"error":"invalid_grant"}', False),
        (400, b"invalid_grant", False),
    ],
)
def test_when_a_refresh_token_is_of_no_use_any_more(status, body, spent):
    assert is_spent(status, body) is spent


def test_a_pass_is_one_secret():
    assert Pass.read(str(Pass("acc", "at"))) == Pass("acc", "at")
    assert claims_of("no jwt") == claims_of("a.!.c") == {}
