"""Chat Completions through the official SDK."""

import openai
import pytest

USER = [{"role": "user", "content": "hi there"}]


def test_plain_answer(oa):
    answer = oa.chat.completions.create(model="sim-1", messages=USER, n=2)
    assert [choice.message.content for choice in answer.choices] == ["You said: hi there"] * 2
    assert answer.usage.completion_tokens == 8
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("counted", [True, False])
def test_stream(oa, counted):
    options = {"include_usage": True} if counted else openai.omit
    with oa.chat.completions.create(model="sim-1", messages=USER, stream=True, stream_options=options) as stream:
        chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "You said: hi there"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert (chunks[-1].choices == []) is counted
    assert (chunks[-1].usage is not None) is counted
    assert len({chunk.id for chunk in chunks}) == 1


def test_tools(oa):
    ask = [{"role": "user", "content": '[[tool:f {"x": [1, 2]}]]'}]
    answer = oa.chat.completions.create(model="sim-1", messages=ask)
    call = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("f", '{"x":[1,2]}')
    assert answer.choices[0].finish_reason == "tool_calls"
    tool = {"role": "tool", "tool_call_id": call.id, "content": "42"}
    turn = [*ask, answer.choices[0].message.model_dump(exclude_none=True), tool]
    assert oa.chat.completions.create(model="sim-1", messages=turn).choices[0].message.content == "Tool said: 42"


def test_streamed_tools(oa):
    ask = [{"role": "user", "content": '[[tool:f {"x": "a b"}]]'}]
    with oa.chat.completions.stream(model="sim-1", messages=ask) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls[0].function.arguments == '{"x":"a b"}'


def test_stored(oa, other):
    one = oa.chat.completions.create(model="sim-1", messages=USER, store=True, metadata={"a": "1"})
    two = oa.chat.completions.create(model="sim-mini", messages=USER, store=True, metadata={"a": "2"})
    oa.chat.completions.create(model="sim-1", messages=USER)
    assert [chat.id for chat in oa.chat.completions.list(limit=1)] == [one.id, two.id]
    assert [chat.id for chat in oa.chat.completions.list(order="desc")] == [two.id, one.id]
    assert [chat.id for chat in oa.chat.completions.list(metadata={"a": "2"})] == [two.id]
    assert [chat.id for chat in oa.chat.completions.list(model="sim-1")] == [one.id]
    assert oa.chat.completions.retrieve(one.id).metadata == {"a": "1"}
    assert oa.chat.completions.update(one.id, metadata={"b": "3"}).metadata == {"b": "3"}
    assert [message.content for message in oa.chat.completions.messages.list(one.id)] == ["hi there"]
    assert list(other.chat.completions.list()) == []
    for refused in (other.chat.completions.retrieve, other.chat.completions.delete):
        with pytest.raises(openai.NotFoundError):
            refused(one.id)
    assert oa.chat.completions.delete(one.id).deleted
    with pytest.raises(openai.NotFoundError):
        oa.chat.completions.retrieve(one.id)


def test_streamed_and_stored(oa):
    with oa.chat.completions.create(model="sim-1", messages=USER, store=True, stream=True) as stream:
        ident = next(iter(stream)).id
    assert oa.chat.completions.retrieve(ident).choices[0].message.content == "You said: hi there"


def test_metadata_must_be_an_object(oa):
    with pytest.raises(openai.BadRequestError, match="expected an object"):
        oa.chat.completions.create(model="sim-1", messages=USER, store=True, metadata="x")
