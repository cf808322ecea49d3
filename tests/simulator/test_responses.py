"""The Responses API through the official SDK."""

import openai
import pytest


def test_plain_answer(oa):
    answer = oa.responses.create(model="sim-1+output=7,input=2000,cached=100,reasoning=3", input="héllo wörld")
    assert answer.output_text == "You said: héllo wörld"
    assert answer.status == "completed"
    assert answer.model == "sim-1+output=7,input=2000,cached=100,reasoning=3"
    assert answer.usage.total_tokens == 2007
    assert answer.usage.input_tokens_details.cached_tokens == 100
    assert answer.usage.output_tokens_details.reasoning_tokens == 3


def test_stream_has_the_whole_sequence(oa):
    with oa.responses.create(model="sim-1", input="a b", stream=True) as stream:
        events = list(stream)
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 4,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(12))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == "You said: a b" == events[-1].response.output_text


def test_stream_accumulator_of_the_sdk_agrees(oa):
    with oa.responses.stream(model="sim-1", input="one two [[think]]") as stream:
        final = stream.get_final_response()
    assert final.output_text.startswith("You said: one two")
    assert [item.type for item in final.output] == ["reasoning", "message"]


@pytest.mark.parametrize("include", [[], ["reasoning.encrypted_content"]])
def test_reasoning_is_sealed_only_when_asked(oa, include):
    answer = oa.responses.create(model="sim-think", input="x", include=include)
    assert answer.output[0].type == "reasoning"
    assert bool(answer.output[0].encrypted_content) is bool(include)


def test_encrypted_content_is_read_by_its_account_only(oa, other):
    made = oa.responses.create(model="sim-think", input="x", include=["reasoning.encrypted_content"])
    again = [made.output[0].model_dump(exclude_none=True), {"role": "user", "content": "y"}]
    assert oa.responses.create(model="sim-1", input=again).output_text == "You said: y"
    with pytest.raises(openai.BadRequestError) as error:
        other.responses.create(model="sim-1", input=again)
    assert error.value.code == "invalid_encrypted_content"


def test_tool_call_and_its_output(oa):
    ask = {"role": "user", "content": 'go [[tool:weather {"city": "Köln"}]]'}
    first = oa.responses.create(model="sim-1", input=[ask])
    call = first.output[0]
    assert (call.type, call.name, call.arguments) == ("function_call", "weather", '{"city":"Köln"}')
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    second = oa.responses.create(model="sim-1", input=[output], previous_response_id=first.id)
    assert second.output_text == "Tool said: rain"


def test_streamed_tool_call(oa):
    with oa.responses.create(model="sim-1", input='[[tool:f {"a": 1}]] [[tool:g]]', stream=True) as stream:
        events = list(stream)
    done = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
    assert done == ['{"a":1}', "{}"]


def test_stored_objects_belong_to_the_key(oa, other):
    made = oa.responses.create(model="sim-1", input="x", metadata={"a": "b"})
    assert oa.responses.retrieve(made.id).to_dict() == made.to_dict()
    assert made.metadata == {"a": "b"}
    with pytest.raises(openai.NotFoundError, match=f"Response with id '{made.id}' not found."):
        other.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as error:
        other.responses.create(model="sim-1", input="x", previous_response_id=made.id)
    assert error.value.code == "previous_response_not_found"
    oa.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        oa.responses.retrieve(made.id)


def test_store_false_keeps_nothing(oa):
    made = oa.responses.create(model="sim-1", input="x", store=False)
    with pytest.raises(openai.NotFoundError):
        oa.responses.retrieve(made.id)


def test_replay(oa):
    with oa.responses.create(model="sim-1", input="a b c", stream=True) as stream:
        events = [event.to_dict() for event in stream]
    ident = events[0]["response"]["id"]
    with oa.responses.retrieve(ident, stream=True, starting_after=3) as stream:
        assert [event.to_dict() for event in stream] == events[4:]


def test_background(oa, sim):
    made = oa.responses.create(model="sim-1+background=0.1", input="x", background=True)
    assert made.status == "queued"
    done = sim.when(lambda: (now := oa.responses.retrieve(made.id)).status == "completed" and now)
    assert done.output_text == "You said: x"


def test_cancel(oa):
    made = oa.responses.create(model="sim-1+background=60", input="x", background=True)
    assert oa.responses.cancel(made.id).status == "cancelled"
    assert oa.responses.retrieve(made.id).status == "cancelled"
    plain = oa.responses.create(model="sim-1", input="x")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        oa.responses.cancel(plain.id)


def test_input_items_in_pages(oa):
    items = [{"role": "user", "content": str(n)} for n in range(5)]
    made = oa.responses.create(model="sim-1", input=items)
    page = oa.responses.input_items.list(made.id, limit=2, order="asc")
    assert page.has_more
    texts = [item.content[0].text for item in page]
    assert texts == ["0", "1", "2", "3", "4"]
    newest = oa.responses.input_items.list(made.id, limit=1)
    assert newest.data[0].content[0].text == "4"
    assert oa.responses.create(
        model="sim-1", input=[{"type": "item_reference", "id": newest.data[0].id}, {"role": "user", "content": "z"}]
    )


def test_item_reference_to_nothing(oa, other):
    made = oa.responses.create(model="sim-1", input="x")
    reference = {"type": "item_reference", "id": made.output[0].id}
    assert oa.responses.create(model="sim-1", input=[reference]).status == "completed"
    with pytest.raises(openai.NotFoundError, match="Items are not persisted"):
        other.responses.create(model="sim-1", input=[reference])


def test_compact_and_count(oa, sim):
    compacted = oa.responses.compact(model="sim-1", input="a long story")
    assert compacted.object == "response.compaction"
    assert compacted.output[-1].type == "compaction"
    assert oa.responses.input_tokens.count(model="sim-1", input="x").input_tokens > 1
    answer = oa.responses.create(
        model="sim-1", input=[{"role": "user", "content": "x"}, {"type": "compaction_trigger"}]
    )
    assert [item.type for item in answer.output] == ["compaction"]


def test_conversations(oa, other):
    talk = oa.conversations.create(metadata={"k": "v"}, items=[{"role": "user", "content": "first"}])
    oa.responses.create(model="sim-1", input="second", conversation=talk.id)
    items = list(oa.conversations.items.list(talk.id, order="asc"))
    assert [item.content[0].text for item in items] == ["first", "second", "You said: second"]
    assert oa.conversations.items.retrieve(items[0].id, conversation_id=talk.id).id == items[0].id
    added = oa.conversations.items.create(talk.id, items=[{"role": "user", "content": "third"}])
    assert len(added.data) == 1
    oa.conversations.items.delete(items[0].id, conversation_id=talk.id)
    assert len(list(oa.conversations.items.list(talk.id, limit=1))) == 3
    assert oa.conversations.update(talk.id, metadata={"k": "w"}).metadata == {"k": "w"}
    with pytest.raises(openai.NotFoundError):
        other.conversations.retrieve(talk.id)
    with pytest.raises(openai.NotFoundError):
        other.responses.create(model="sim-1", input="x", conversation={"id": talk.id})
    assert oa.conversations.delete(talk.id).deleted
    with pytest.raises(openai.NotFoundError):
        oa.conversations.retrieve(talk.id)


@pytest.mark.parametrize("end", ["incomplete", "failed"])
def test_other_ends(oa, end):
    with oa.responses.create(model=f"sim-1+end={end}", input="x", stream=True) as stream:
        assert list(stream)[-1].type == f"response.{end}"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"input": "x"}, "missing_required_parameter"),
        ({"model": "sim-1"}, "missing_required_parameter"),
        ({"model": "sim-1", "input": "x", "metadata": 7}, "invalid_type"),
        ({"model": "sim-1", "input": "x", "metadata": {str(n): "" for n in range(17)}}, "object_above_max_properties"),
        ({"model": "sim-1+nonsense=1", "input": "x"}, "simulator_option"),
        ({"model": "sim-1+fault=nonsense", "input": "x"}, "simulator_option"),
    ],
)
def test_refusals(oa, body, code):
    with pytest.raises(openai.BadRequestError) as error:
        oa.post("/responses", body=body, cast_to=object)
    assert error.value.code == code
