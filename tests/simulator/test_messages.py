"""Anthropic Messages through the official SDK, and the models in both shapes."""

import anthropic
import openai
import pytest

USER = [{"role": "user", "content": "hi there"}]
THINK = {"type": "enabled", "budget_tokens": 1024}


def test_plain_answer(an):
    answer = an.messages.create(model="claude-sim-1+cached=10,cache_write=5,input=40", max_tokens=99, messages=USER)
    assert answer.content[0].text == "You said: hi there"
    assert answer.stop_reason == "end_turn"
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (25, 10, 5)


def test_stream(an):
    with an.messages.create(model="claude-sim-1", max_tokens=99, messages=USER, stream=True) as stream:
        kinds = [event.type for event in stream]
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 4,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_thinking_and_tool(an):
    ask = [{"role": "user", "content": '[[tool:f {"x": "y z"}]]'}]
    with an.messages.stream(model="claude-sim-1", max_tokens=2000, messages=ask, thinking=THINK) as stream:
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "tool_use"]
    assert final.content[0].signature
    assert final.content[1].input == {"x": "y z"}
    assert final.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": final.content[1].id, "content": "42"}
    turn = [*ask, {"role": "assistant", "content": final.content}, {"role": "user", "content": [result]}]
    answer = an.messages.create(model="claude-sim-1", max_tokens=99, messages=turn)
    assert answer.content[0].text == "Tool said: 42"


def test_count_tokens(an):
    assert an.messages.count_tokens(model="claude-sim-1", messages=USER).input_tokens > 5


def test_request_id_and_organisation(an):
    raw = an.messages.with_raw_response.create(model="claude-sim-1", max_tokens=9, messages=USER)
    assert raw.headers["request-id"].startswith("req_")
    assert "anthropic-organization-id" in raw.headers
    assert raw.headers["server"] == "cloudflare"


@pytest.mark.parametrize(
    ("key", "error", "kind"),
    [
        ("nonsense", anthropic.AuthenticationError, "authentication_error"),
        ("sim-forbidden", anthropic.PermissionDeniedError, "permission_error"),
        ("sim-limited", anthropic.RateLimitError, "rate_limit_error"),
        ("sim-quota", anthropic.APIStatusError, "billing_error"),
    ],
)
def test_refused_keys(sim, key, error, kind):
    with anthropic.Anthropic(api_key=key, base_url=sim.url, max_retries=0) as client:
        with pytest.raises(error) as caught:
            client.messages.create(model="claude-sim-1", max_tokens=9, messages=USER)
    assert caught.value.body["error"]["type"] == kind


def test_missing_field(an):
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Field required"):
        an.post("/v1/messages", body={"model": "x", "messages": USER}, cast_to=object)


@pytest.mark.parametrize(("status", "error"), [(529, anthropic.OverloadedError), (413, anthropic.APIStatusError)])
def test_status_option(an, status, error):
    with pytest.raises(error) as caught:
        an.messages.create(model=f"x+status={status},retry_after=7", max_tokens=9, messages=USER)
    assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "7"


def test_models_in_both_shapes(an, oa):
    names = [model.id for model in oa.models.list()]
    assert "sim-1" in names
    assert [model.id for model in an.models.list(limit=2)] == names
    assert an.models.retrieve("sim-1").display_name == "Sim 1"
    assert oa.models.retrieve("gpt-sim").owned_by == "simulator"
    before = an.models.list(before_id=names[3], limit=2)
    assert [model.id for model in before.data] == names[1:3]
    with pytest.raises(openai.NotFoundError) as error:
        oa.models.retrieve("nope/x:y")
    assert error.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError):
        an.models.retrieve("nope")


@pytest.mark.parametrize(
    ("key", "error", "code"),
    [
        ("sk-wrong-key-1234567890", openai.AuthenticationError, "invalid_api_key"),
        ("sim-quota", openai.RateLimitError, "insufficient_quota"),
        ("sim-forbidden", openai.PermissionDeniedError, "access_denied"),
        ("sim-limited", openai.RateLimitError, "rate_limit_exceeded"),
    ],
)
def test_refused_keys_of_openai(sim, key, error, code):
    with openai.OpenAI(api_key=key, base_url=f"{sim.url}/openai/v1", max_retries=0) as client:
        with pytest.raises(error) as caught:
            client.responses.create(model="sim-1", input="x")
    assert caught.value.code == code
    if code == "invalid_api_key":
        assert "sk-wrong***********7890" in caught.value.message
    if code == "rate_limit_exceeded":
        assert caught.value.response.headers["retry-after"] == "2"
