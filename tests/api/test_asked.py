"""What is read off a head is read once, and only for requests with the very same head."""

import pytest

from app.api.asked import KNOWN, asked
from app.protocol.endpoints import Protocol

HEAD = {
    "PATH_INFO": "/v1/responses",
    "CONTENT_TYPE": "application/json",
    "HTTP_AUTHORIZATION": "Bearer sk_one",
    "HTTP_X_REQUEST_ID": "mine",
    "HTTP_USER_AGENT": "test",
    "HTTP_COOKIE": "never=on",
}


def test_a_head_that_comes_again_is_not_read_again():
    known = {}
    first = asked(HEAD | {KNOWN: known})
    assert asked(HEAD | {KNOWN: known, "REMOTE_ADDR": "192.0.2.1"}) is first


def test_what_no_server_knows_is_read_each_time():
    assert asked(HEAD) == asked(HEAD)
    other = asked(HEAD | {"HTTP_AUTHORIZATION": "Bearer sk_two"})
    assert other.credentials != asked(HEAD).credentials


def test_the_head_says_whose_errors_are_understood_and_what_may_travel_on():
    told = asked(HEAD)
    assert (told.protocol, told.request_id, told.brings_json) == (Protocol.OPENAI, "mine", True)
    assert dict(told.headers) == {"content-type": "application/json", "user-agent": "test"}
    assert asked(HEAD | {"PATH_INFO": "/v1/messages"}).protocol is Protocol.ANTHROPIC
    assert asked(HEAD | {"HTTP_ANTHROPIC_VERSION": "2023-06-01"}).protocol is Protocol.ANTHROPIC


@pytest.mark.parametrize(("kind", "json"), [("", True), ("application/x+json; a=b", True), ("text/plain", False)])
def test_a_body_of_another_kind_is_known_by_the_head(kind, json):
    assert asked(HEAD | {"CONTENT_TYPE": kind}).brings_json is json


def test_the_token_itself_is_not_kept():
    assert "sk_one" not in repr(asked(HEAD))
