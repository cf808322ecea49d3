"""Streams, tools and thinking through the official Python SDKs."""

import asyncio
import json

import anthropic
import openai
import pytest

pytestmark = pytest.mark.slow

HELLO = [{"role": "user", "content": "hello"}]
SAID = "You said: hello"
ASKS_FOR_WEATHER = [{"role": "user", "content": '[[tool:weather {"city":"Bern"}]]'}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BERN = {"city": "Bern"}


def content(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


# -- Responses --------------------------------------------------------------------------------------------------------
def test_a_response_streams_event_by_event_in_order(sdk, sim):
    events = list(sdk.openai.responses.create(model="sim-1", input="hello", stream=True))
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SAID
    assert events[-1].response.usage.output_tokens > 0


def test_the_stream_helper_gathers_the_final_response(sdk, sim):
    with sdk.openai.responses.stream(model="sim-1", input="hello") as stream:
        assert stream.get_final_response().output_text == SAID


@pytest.mark.acceptance("G-14")
@pytest.mark.parametrize("background", [False, True])
def test_a_stored_stream_is_replayed_from_any_event_on(sdk, sim, background):
    first = list(sdk.openai.responses.create(model="sim-1", input="hello", stream=True, background=background))
    made = first[0].response.id
    again = list(sdk.openai.responses.retrieve(made, stream=True))
    assert [event.type for event in again] == [event.type for event in first]
    rest = list(sdk.openai.responses.retrieve(made, stream=True, starting_after=3))
    assert [event.sequence_number for event in rest] == [event.sequence_number for event in first[4:]]


def test_a_response_calls_a_tool_and_reads_its_output(sdk, sim):
    tools = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
    asked = sdk.openai.responses.create(model="sim-1", input=ASKS_FOR_WEATHER, tools=tools)
    (call,) = asked.output
    assert (call.name, json.loads(call.arguments)) == ("weather", BERN)
    output = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    told = sdk.openai.responses.create(model="sim-1", input=output, previous_response_id=asked.id, tools=tools)
    assert told.output_text == "Tool said: sunny"


def test_a_response_thinks_with_content_that_only_its_account_can_read(sdk, sim):
    asked = sdk.openai.responses.create(
        model="sim-1", input="[[think]] hello", store=False, include=["reasoning.encrypted_content"]
    )
    reasoning = asked.output[0]
    assert (reasoning.type, bool(reasoning.encrypted_content)) == ("reasoning", True)
    history = [*HELLO, *(item.to_dict() for item in asked.output), *HELLO]
    assert sdk.openai.responses.create(model="sim-1", input=history, store=False).output_text == SAID


# -- Chat Completions -------------------------------------------------------------------------------------------------
def test_a_chat_streams_without_a_chunk_that_nobody_asked_for(sdk, sim):
    chunks = list(sdk.openai.chat.completions.create(model="sim-1", messages=HELLO, stream=True))
    assert content(chunks) == SAID
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_chat_streams_its_usage_to_who_asks(sdk, sim):
    *chunks, last = sdk.openai.chat.completions.create(
        model="sim-1", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert content(chunks) == SAID
    assert (last.choices, last.usage.completion_tokens > 0) == ([], True)


def test_a_streamed_chat_that_is_stored_can_be_read_again(sdk, sim):
    chunks = list(sdk.openai.chat.completions.create(model="sim-1", messages=HELLO, stream=True, store=True))
    assert sdk.openai.chat.completions.retrieve(chunks[0].id).choices[0].message.content == SAID


@pytest.mark.parametrize("streamed", [False, True])
def test_a_chat_calls_a_tool_and_reads_its_output(sdk, sim, streamed):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    asked = {"model": "sim-1", "messages": ASKS_FOR_WEATHER, "tools": tools}
    if streamed:
        with sdk.openai.chat.completions.stream(**asked) as stream:
            answered = stream.get_final_completion().choices[0].message
    else:
        answered = sdk.openai.chat.completions.create(**asked).choices[0].message
    (call,) = answered.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", BERN)
    history = [*ASKS_FOR_WEATHER, answered.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    told = sdk.openai.chat.completions.create(model="sim-1", messages=history, tools=tools)
    assert told.choices[0].message.content == "Tool said: sunny"


# -- Messages ---------------------------------------------------------------------------------------------------------
def test_a_message_streams(sdk, sim):
    with sdk.anthropic.messages.stream(model="claude-sim-1", max_tokens=50, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == SAID
        assert stream.get_final_message().stop_reason == "end_turn"
    events = list(sdk.anthropic.messages.create(model="claude-sim-1", max_tokens=50, messages=HELLO, stream=True))
    assert [events[0].type, events[-1].type] == ["message_start", "message_stop"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_message_thinks_before_it_speaks(sdk, sim, streamed):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked = {"model": "claude-sim-1", "max_tokens": 2048, "messages": HELLO, "thinking": thinking}
    if streamed:
        with sdk.anthropic.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = sdk.anthropic.messages.create(**asked)
    thought, spoken = message.content
    assert (thought.type, bool(thought.signature), spoken.text) == ("thinking", True, SAID)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_message_calls_a_tool_and_reads_its_output(sdk, sim, streamed):
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    asked = {"model": "claude-sim-1", "max_tokens": 50, "messages": ASKS_FOR_WEATHER, "tools": tools}
    if streamed:
        with sdk.anthropic.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = sdk.anthropic.messages.create(**asked)
    (call,) = message.content
    assert (call.name, call.input, message.stop_reason) == ("weather", BERN, "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    history = [
        *ASKS_FOR_WEATHER,
        {"role": "assistant", "content": [call.to_dict()]},
        {"role": "user", "content": [result]},
    ]
    told = sdk.anthropic.messages.create(model="claude-sim-1", max_tokens=50, messages=history, tools=tools)
    assert told.content[0].text == "Tool said: sunny"


# -- both, asynchronously ---------------------------------------------------------------------------------------------
def test_many_streams_at_once_stay_apart(house, sim):
    token = house.tokens["alice"]

    async def respond(client, word):
        stream = await client.responses.create(model="sim-1+gap=0.01", input=word, stream=True)
        return [event async for event in stream][-1].response.output_text

    async def message(client, word):
        asked = {"model": "claude-sim-1+gap=0.01", "max_tokens": 50, "messages": [{"role": "user", "content": word}]}
        async with client.messages.stream(**asked) as stream:
            return await stream.get_final_text()

    async def everybody():
        async with (
            openai.AsyncOpenAI(api_key=token, base_url=f"{house.url}/v1", max_retries=0) as of_openai,
            anthropic.AsyncAnthropic(api_key=token, base_url=house.url, max_retries=0) as of_anthropic,
        ):
            words = [f"word {number}" for number in range(10)]
            both = [respond(of_openai, word) for word in words] + [message(of_anthropic, word) for word in words]
            return words, await asyncio.gather(*both)

    words, said = asyncio.run(everybody())
    assert said == [f"You said: {word}" for word in words] * 2
