"""Every endpoint, as the official Python SDKs call it."""

import pytest

from tests.live import until
from tests.sdk.fixtures import PATHS

pytestmark = pytest.mark.slow

DRIVES = {}
HELLO = [{"role": "user", "content": "hello"}]
SAID = "You said: hello"


def drives(name):
    """Register what calls an endpoint and looks at the answer."""

    def register(drive):
        DRIVES[name] = drive
        return drive

    return register


@pytest.mark.parametrize("name", sorted(DRIVES.keys() | PATHS.keys()))
def test_an_sdk_drives_the_endpoint(name, sdk, sim, called):
    assert name in DRIVES, f"no SDK test drives {name}"
    DRIVES[name](sdk)
    assert name in called


# -- Responses --------------------------------------------------------------------------------------------------------
@drives("responses.create")
def create_response(sdk):
    response = sdk.openai.responses.create(model="sim-1", input="hello", metadata={"color": "green"})
    assert (response.output_text, response.status) == (SAID, "completed")
    assert (response.model, response.metadata) == ("sim-1", {"color": "green"})
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    following = sdk.openai.responses.create(model="sim-1", input="and now?", previous_response_id=response.id)
    assert following.previous_response_id == response.id


@drives("responses.retrieve")
def retrieve_response(sdk):
    made = sdk.openai.responses.create(model="sim-1", input="hello")
    found = sdk.openai.responses.retrieve(made.id)
    assert (found.id, found.output_text) == (made.id, SAID)


@drives("responses.delete")
def delete_response(sdk):
    made = sdk.openai.responses.create(model="sim-1", input="hello")
    assert sdk.openai.responses.delete(made.id) is None
    with pytest.raises(Exception, match="not found"):
        sdk.openai.responses.retrieve(made.id)


@drives("responses.cancel")
def cancel_response(sdk):
    made = sdk.openai.responses.create(model="sim-1+background=30", input="hello", background=True)
    assert made.status in {"queued", "in_progress"}
    assert sdk.openai.responses.cancel(made.id).status == "cancelled"
    assert sdk.openai.responses.retrieve(made.id).status == "cancelled"


def test_a_background_response_completes_by_itself(sdk):
    made = sdk.openai.responses.create(model="sim-1+background=0.2", input="hello", background=True)
    done = until(lambda: (found := sdk.openai.responses.retrieve(made.id)).status == "completed" and found)
    assert done.output_text == SAID


@drives("responses.input_items")
def list_input_items(sdk):
    given = [{"role": "user", "content": word} for word in ("one", "two", "three")]
    made = sdk.openai.responses.create(model="sim-1", input=given)
    items = list(sdk.openai.responses.input_items.list(made.id, order="asc", limit=2))
    assert [item.content[0].text for item in items] == ["one", "two", "three"]


@drives("responses.compact")
def compact(sdk):
    compacted = sdk.openai.responses.compact(model="sim-1", input=HELLO)
    assert compacted.object == "response.compaction"
    assert [item.type for item in compacted.output] == ["message", "compaction"]
    assert compacted.output[-1].encrypted_content
    following = [*(item.to_dict(warnings=False) for item in compacted.output), *HELLO]
    assert sdk.openai.responses.create(model="sim-1", input=following).output_text == SAID


@drives("responses.input_tokens")
def count_input_tokens(sdk):
    counted = sdk.openai.responses.input_tokens.count(model="sim-1", input="hello")
    assert (counted.object, counted.input_tokens > 0) == ("response.input_tokens", True)


# -- Conversations ----------------------------------------------------------------------------------------------------
def new_conversation(sdk):
    return sdk.openai.conversations.create(
        items=[{"type": "message", "role": "user", "content": "first"}], metadata={"topic": "tests"}
    )


def texts(items):
    return [item.content[0].text for item in items]


@drives("conversations.create")
def create_conversation(sdk):
    conversation = new_conversation(sdk)
    assert (conversation.object, conversation.metadata) == ("conversation", {"topic": "tests"})
    response = sdk.openai.responses.create(model="sim-1", input="hello", conversation=conversation.id)
    assert response.conversation.id == conversation.id
    assert texts(sdk.openai.conversations.items.list(conversation.id, order="asc")) == ["first", "hello", SAID]


@drives("conversations.retrieve")
def retrieve_conversation(sdk):
    made = new_conversation(sdk)
    assert sdk.openai.conversations.retrieve(made.id) == made


@drives("conversations.update")
def update_conversation(sdk):
    made = new_conversation(sdk)
    sdk.openai.conversations.update(made.id, metadata={"topic": "other"})
    assert sdk.openai.conversations.retrieve(made.id).metadata == {"topic": "other"}


@drives("conversations.delete")
def delete_conversation(sdk):
    made = new_conversation(sdk)
    assert sdk.openai.conversations.delete(made.id).deleted
    with pytest.raises(Exception, match="not found"):
        sdk.openai.conversations.retrieve(made.id)


@drives("conversations.items.create")
def create_items(sdk):
    made = new_conversation(sdk)
    added = sdk.openai.conversations.items.create(
        made.id, items=[{"type": "message", "role": "user", "content": word} for word in ("second", "third")]
    )
    assert texts(added.data) == ["second", "third"]


@drives("conversations.items.list")
def list_items(sdk):
    made = new_conversation(sdk)
    sdk.openai.conversations.items.create(made.id, items=[{"type": "message", "role": "user", "content": "second"}])
    assert texts(sdk.openai.conversations.items.list(made.id, order="asc", limit=1)) == ["first", "second"]


@drives("conversations.items.retrieve")
def retrieve_item(sdk):
    made = new_conversation(sdk)
    (item,) = sdk.openai.conversations.items.list(made.id)
    assert sdk.openai.conversations.items.retrieve(item.id, conversation_id=made.id) == item


@drives("conversations.items.delete")
def delete_item(sdk):
    made = new_conversation(sdk)
    (item,) = sdk.openai.conversations.items.list(made.id)
    sdk.openai.conversations.items.delete(item.id, conversation_id=made.id)
    assert list(sdk.openai.conversations.items.list(made.id)) == []


# -- Chat Completions -------------------------------------------------------------------------------------------------
def stored_chat(sdk, text="hello"):
    return sdk.openai.chat.completions.create(
        model="sim-1", messages=[{"role": "user", "content": text}], store=True, metadata={"color": "green"}
    )


@drives("chat.create")
def create_chat(sdk):
    completion = sdk.openai.chat.completions.create(model="sim-1", messages=HELLO)
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == (SAID, "stop")
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


@drives("chat.list")
def list_chats(sdk):
    made = [stored_chat(sdk).id for _ in range(3)]
    page = sdk.openai.chat.completions.list(limit=2, order="desc")
    assert [each.id for each in page.data] == [made[2], made[1]]
    assert page.has_more
    assert page.get_next_page().data[0].id == made[0]


@drives("chat.retrieve")
def retrieve_chat(sdk):
    made = stored_chat(sdk)
    found = sdk.openai.chat.completions.retrieve(made.id)
    assert (found.id, found.choices[0].message.content) == (made.id, SAID)


@drives("chat.update")
def update_chat(sdk):
    made = stored_chat(sdk)
    updated = sdk.openai.chat.completions.update(made.id, metadata={"color": "blue"})
    assert updated.id == made.id
    assert sdk.openai.chat.completions.retrieve(made.id).metadata["color"] == "blue"


@drives("chat.delete")
def delete_chat(sdk):
    made = stored_chat(sdk)
    assert sdk.openai.chat.completions.delete(made.id).deleted
    with pytest.raises(Exception, match="not found"):
        sdk.openai.chat.completions.retrieve(made.id)


@drives("chat.messages")
def list_chat_messages(sdk):
    made = stored_chat(sdk, "what did I say?")
    assert [each.content for each in sdk.openai.chat.completions.messages.list(made.id)] == ["what did I say?"]


# -- Messages ---------------------------------------------------------------------------------------------------------
@drives("messages.create")
def create_message(sdk):
    message = sdk.anthropic.messages.create(model="claude-sim-1", max_tokens=50, messages=HELLO)
    assert (message.content[0].text, message.stop_reason) == (SAID, "end_turn")
    assert message.usage.output_tokens > 0
    beta = sdk.anthropic.beta.messages.create(
        model="claude-sim-1", max_tokens=50, messages=HELLO, betas=["context-management-2025-06-27"]
    )
    assert beta.content[0].text == SAID


@drives("messages.count_tokens")
def count_tokens(sdk):
    assert sdk.anthropic.messages.count_tokens(model="claude-sim-1", messages=HELLO).input_tokens > 0
    assert sdk.anthropic.beta.messages.count_tokens(model="claude-sim-1", messages=HELLO).input_tokens > 0


# -- models -----------------------------------------------------------------------------------------------------------
@drives("models.list")
def list_models(sdk):
    assert "renamed" in {model.id for model in sdk.openai.models.list()}
    for page in (sdk.anthropic.models.list(limit=1000), sdk.anthropic.beta.models.list()):
        assert "renamed" not in {model.id for model in page}, "no upstream serves it to this protocol"


@drives("models.retrieve")
def retrieve_model(sdk):
    model = sdk.openai.models.retrieve("renamed")
    assert (model.id, model.object, model.created > 0) == ("renamed", "model", True)
    found = sdk.anthropic.models.retrieve("claude-sim-1")
    assert (found.id, found.type, found.created_at.year >= 2026) == ("claude-sim-1", "model", True)
