"""Every failure becomes the exception that the official Python SDKs have for it, with the request's id."""

import anthropic
import openai
import pytest

pytestmark = pytest.mark.slow

HELLO = [{"role": "user", "content": "hello"}]


def respond(client, **more):
    return client.responses.create(**{"model": "sim-1", "input": "hello"} | more)


def chat(client, **more):
    return client.chat.completions.create(**{"model": "sim-1", "messages": HELLO} | more)


def message(client, **more):
    return client.messages.create(**{"model": "claude-sim-1", "max_tokens": 50, "messages": HELLO} | more)


def raised(expected, call, *args, **more):
    """The exception of exactly the class that the SDK has for a status, after a look at its request id."""
    with pytest.raises(expected) as caught:
        call(*args, **more)
    error = caught.value
    assert type(error) is expected
    headers = error.response.headers
    assert headers["x-request-id"]
    assert error.request_id == headers["request-id" if isinstance(error, anthropic.APIError) else "x-request-id"]
    return error


# -- the caller's own mistakes ----------------------------------------------------------------------------------------
def test_a_wrong_token_is_an_authentication_error(sdk):
    stranger = sdk.openai.with_options(api_key="sk_" + "x" * 43)
    error = raised(openai.AuthenticationError, respond, stranger)
    assert (error.code, error.type) == ("invalid_api_key", "invalid_request_error")
    raised(openai.AuthenticationError, stranger.models.list)
    error = raised(anthropic.AuthenticationError, message, sdk.anthropic.with_options(api_key="sk_" + "x" * 43))
    assert error.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_a_token_is_taken_from_either_header_and_with_either_version(sdk, sim, house, header, version):
    token = house.tokens["alice"]
    given = {"x-api-key": anthropic.omit, "authorization": anthropic.omit, "anthropic-version": version}
    given[header] = token if header == "x-api-key" else f"Bearer {token}"
    assert message(sdk.anthropic, extra_headers=given).content[0].text == "You said: hello"


def test_what_does_not_exist_is_a_not_found_error(sdk):
    for find in (
        sdk.openai.responses.retrieve,
        sdk.openai.chat.completions.retrieve,
        sdk.openai.conversations.retrieve,
    ):
        raised(openai.NotFoundError, find, "resp_0123456789abcdef")
    for call in (respond, chat):
        error = raised(openai.NotFoundError, call, sdk.openai, model="nowhere")
        assert (error.code, error.param) == ("model_not_found", "model")
    error = raised(anthropic.NotFoundError, message, sdk.anthropic, model="nowhere")
    assert error.body["error"]["type"] == "not_found_error"
    raised(openai.NotFoundError, sdk.openai.models.retrieve, "nowhere")
    raised(anthropic.NotFoundError, sdk.anthropic.models.retrieve, "nowhere")


def test_a_bad_request_is_told_whoever_refuses_it(sdk, sim):
    error = raised(openai.BadRequestError, respond, sdk.openai, previous_response_id="resp_0123456789abcdef")
    assert (error.code, error.param) == ("previous_response_not_found", "previous_response_id")
    error = raised(openai.BadRequestError, respond, sdk.openai, model="sim-1+status=400,code=context_length_exceeded")
    assert error.code == "context_length_exceeded"
    raised(openai.BadRequestError, chat, sdk.openai, model="sim-1+status=400", stream=True)
    error = raised(anthropic.BadRequestError, message, sdk.anthropic, model="claude-sim-1+status=400")
    assert error.body["error"]["type"] == "invalid_request_error"


def test_a_body_over_the_limit_is_told_in_the_callers_protocol(sdk):
    huge = "x" * (33 * 1024 * 1024)
    error = raised(openai.APIStatusError, respond, sdk.openai, input=huge)
    assert (error.status_code, error.code) == (413, "request_too_large")
    content = [{"role": "user", "content": huge}]
    error = raised(anthropic.ContentTooLargeError, message, sdk.anthropic, messages=content)
    assert error.body["error"]["type"] == "request_too_large"


# -- the provider's failures ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("streamed", [False, True])
def test_a_provider_that_is_busy_is_a_rate_limit_with_a_time_to_wait(sdk, sim, streamed):
    for call in (respond, chat):
        error = raised(openai.RateLimitError, call, sdk.openai, model="sim-1+status=429,retry_after=7", stream=streamed)
        assert error.response.headers["retry-after"] == "7"
    error = raised(
        anthropic.RateLimitError, message, sdk.anthropic, model="claude-sim-1+status=429,retry_after=7", stream=streamed
    )
    assert error.response.headers["retry-after"] == "7"
    assert error.body["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_provider_that_fails_is_an_internal_server_error(sdk, sim, streamed):
    for call in (respond, chat):
        error = raised(openai.InternalServerError, call, sdk.openai, model="sim-1+status=500", stream=streamed)
        assert (error.status_code, error.type) == (502, "server_error")
    error = raised(
        anthropic.InternalServerError, message, sdk.anthropic, model="claude-sim-1+status=500", stream=streamed
    )
    assert error.body["error"]["type"] == "api_error"


def test_a_provider_that_is_overloaded_is_told_so(sdk, sim):
    error = raised(openai.InternalServerError, respond, sdk.openai, model="sim-1+status=503")
    assert (error.status_code, error.code) == (503, "overloaded")
    error = raised(anthropic.OverloadedError, message, sdk.anthropic, model="claude-sim-1+status=529")
    assert (error.status_code, error.body["error"]["type"]) == (529, "overloaded_error")


def test_the_shared_accounts_trouble_is_not_told_as_the_callers(sdk, sim):
    for status in (401, 403):
        raised(openai.InternalServerError, respond, sdk.openai, model=f"sim-1+status={status}")
        raised(anthropic.InternalServerError, message, sdk.anthropic, model=f"claude-sim-1+status={status}")


# -- a stream that breaks ---------------------------------------------------------------------------------------------
def test_a_cut_response_stream_ends_with_an_error_event(sdk, sim):
    events = list(respond(sdk.openai, model="sim-1+events=200,fault=cut_at:9000", stream=True))
    assert (events[0].type, events[-1].type) == ("response.created", "error")
    assert "req_" in events[-1].message


def test_a_cut_chat_stream_raises(sdk, sim):
    with pytest.raises(openai.APIError, match="request id"):
        list(chat(sdk.openai, model="sim-1+events=200,fault=cut_at:9000", stream=True))


def test_a_cut_message_stream_raises(sdk, sim):
    with pytest.raises(anthropic.APIError):
        list(message(sdk.anthropic, model="claude-sim-1+events=200,fault=cut_at:9000", stream=True))


def test_a_client_that_retries_gets_through(house, sim):
    sim.control("POST", "faults", {"path": "/v1/responses", "fault": "status=503", "times": 1})
    with openai.OpenAI(api_key=house.tokens["alice"], base_url=f"{house.url}/v1", max_retries=2) as client:
        assert respond(client).output_text == "You said: hello"


# -- request ids ------------------------------------------------------------------------------------------------------
def test_answers_carry_their_request_id_and_take_the_clients(sdk, sim, house):
    own = {"X-Request-Id": "my-own.request_1"}
    for call, client in ((respond, sdk.openai), (chat, sdk.openai), (message, sdk.anthropic)):
        assert call(client, extra_headers=own)._request_id == "my-own.request_1"
        minted = {call(client)._request_id for _ in range(2)}
        assert len(minted) == 2
        for request_id in minted:
            assert house.record(request_id)["status"] == 200
