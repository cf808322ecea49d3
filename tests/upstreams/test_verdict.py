"""What an upstream's answer means: whose matter it is, for how long, and what the caller is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME, Kind
from app.protocol.errors import Problem
from app.upstreams.verdict import MODEL_CODES, QUOTA_CODES, REQUEST, Scope, judge

CREATE, RETRIEVE, MESSAGES = (BY_NAME[name] for name in ("responses.create", "responses.retrieve", "messages.create"))


def a_call(endpoint=CREATE, **more):
    return Call(id="c", request_id="r", caller=Caller(1, 1, "mark"), model="gpt", endpoint=endpoint, **more)


def error(code="some_code", kind="x", **more):
    told = {"code": code, "type": kind, "message": "key sk-…secret of org-x"} | more
    return json.dumps({"error": told}).encode()


def told(status, body=b"", headers=None, *, endpoint=CREATE, **more):
    return judge(status, headers or {}, body, call=a_call(endpoint, **more))


TABLE = {
    301: (Scope.UPSTREAM, Problem.UPSTREAM), 307: (Scope.UPSTREAM, Problem.UPSTREAM), 400: (Scope.REQUEST, None),
    401: (Scope.CREDENTIAL, Problem.UPSTREAM), 402: (Scope.CREDENTIAL, Problem.OVERLOADED),
    403: (Scope.CREDENTIAL, Problem.UPSTREAM), 404: (Scope.REQUEST, None), 407: (Scope.CREDENTIAL, Problem.UPSTREAM),
    408: (Scope.UPSTREAM, Problem.TIMEOUT), 409: (Scope.REQUEST, None), 413: (Scope.REQUEST, None),
    422: (Scope.REQUEST, None), 429: (Scope.CREDENTIAL, Problem.RATE_LIMITED), 451: (Scope.REQUEST, None),
    500: (Scope.UPSTREAM, Problem.UPSTREAM), 502: (Scope.UPSTREAM, Problem.UPSTREAM),
    503: (Scope.UPSTREAM, Problem.OVERLOADED), 504: (Scope.UPSTREAM, Problem.TIMEOUT),
    520: (Scope.UPSTREAM, Problem.UPSTREAM), 529: (Scope.UPSTREAM, Problem.OVERLOADED),
}  # fmt: skip


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_good_answer_has_no_verdict(status):
    assert told(status) is None


@pytest.mark.parametrize("status", TABLE)
@pytest.mark.parametrize("endpoint", [CREATE, RETRIEVE, MESSAGES], ids=lambda e: e.name)
def test_what_concerns_the_callers_request_passes_and_what_concerns_our_account_never_does(status, endpoint):
    verdict = told(status, error(), endpoint=endpoint)
    assert (verdict.scope, verdict.told and verdict.told.problem) == TABLE[status]
    if verdict.told is not None:
        assert "secret" not in verdict.told.message
        assert "org-x" not in verdict.told.message


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"detail":"Not Found"}', b"[]", b"null", error("404")])
def test_an_endpoint_that_is_not_there_is_left_out_for_that_alone(status, body):
    verdict = told(status, body, endpoint=BY_NAME["responses.input_tokens"])
    assert (verdict.scope, verdict.told.problem) == (Scope.ENDPOINT, Problem.UNSUPPORTED)


def test_a_query_of_the_callers_own_cannot_put_an_endpoint_out():
    assert told(404, b"<html>", query="api-version=1").scope is Scope.NOTHING
    assert told(404, b"<html>", query="beta=true", endpoint=MESSAGES).scope is Scope.ENDPOINT


@pytest.mark.parametrize("code", sorted(MODEL_CODES))
@pytest.mark.parametrize("status", [400, 403, 404])
def test_an_error_code_that_names_the_model_concerns_that_route(status, code):
    verdict = told(status, error(code))
    assert (verdict.scope, verdict.told.problem) == (Scope.ROUTE, Problem.MODEL_NOT_FOUND)


def test_the_word_model_in_a_message_decides_nothing():
    assert told(400, error(message="this model does not exist")) is REQUEST
    assert told(404, error(None, "not_found_error", message="no such file"), endpoint=MESSAGES) is REQUEST
    anthropics = error(None, "not_found_error", message="model: claude-1")
    assert told(404, anthropics, endpoint=MESSAGES).scope is Scope.ROUTE


@pytest.mark.parametrize("code", sorted(QUOTA_CODES))
@pytest.mark.parametrize("member", ["code", "type"])
def test_a_used_up_account_is_overloaded_not_the_callers_rate(code, member):
    verdict = told(429, json.dumps({"error": {member: code}}).encode())
    assert (verdict.told.problem, verdict.rest_s) == (Problem.OVERLOADED, 300.0)
    body = json.dumps({"error": {member: code, "resets_in_seconds": 7200}}).encode()
    assert told(429, body).rest_s == 7200


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b'{"error":"busy"}', b'{"error":null}', b'{"error":{}}', b"[" * 99999]
)
def test_a_429_of_any_form_is_a_rate_limit_with_a_time_to_wait(body):
    verdict = told(429, body)
    assert (verdict.told.problem, verdict.told.retry_after, verdict.rest_s) == (Problem.RATE_LIMITED, 1, None)


def test_a_rate_limit_lasts_as_long_as_the_upstream_says():
    verdict = told(429, headers={"retry-after-ms": "1500"})
    assert (verdict.rest_s, verdict.told.retry_after) == (1.5, 2)


def test_a_request_that_is_over_a_limit_by_itself_puts_nobody_out():
    assert told(429, error("rate_limit_exceeded", message="Request too large for gpt-5 on …")).scope is Scope.NOTHING


def test_an_overloaded_upstream_that_says_when_to_come_back_is_left_alone_until_then():
    verdict = told(529, headers={"retry-after": "7"})
    assert (verdict.rest_s, verdict.at_once) == (7.0, True)
    assert not told(529).at_once


@pytest.mark.parametrize(
    "body",
    [error("content_policy_violation"), error(403, metadata={"reasons": ["violence"], "flagged_input": "x"})],
)
def test_a_prompt_that_was_flagged_is_the_callers_own_matter(body):
    assert told(403, body) is REQUEST


@pytest.mark.parametrize("status", [401, 402, 403, 407])
def test_a_key_that_is_not_known_is_told_apart_from_what_a_caller_could_provoke(status):
    assert told(status, error()).key_refused == (status == 401)


@pytest.mark.parametrize(("status", "problem"), [(400, Problem.UPSTREAM), (413, Problem.TOO_LARGE)])
def test_a_refusal_in_no_words_of_the_providers_puts_nobody_out(status, problem):
    verdict = told(status, b"<html>nginx</html>")
    assert (verdict.scope, verdict.told.problem) == (Scope.NOTHING, problem)


@given(st.integers(300, 999), st.binary(max_size=40))
def test_any_status_and_body_are_judged(status, body):
    for endpoint in (CREATE, RETRIEVE):
        verdict = told(status, body, endpoint=endpoint)
        assert (verdict.told is None) == (verdict.scope is Scope.REQUEST)
        assert endpoint.kind is not Kind.OBJECT or verdict.scope is not Scope.ENDPOINT
