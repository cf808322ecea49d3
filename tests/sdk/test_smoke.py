"""The official SDKs talk to Realms as to their own provider."""


def test_chat_works_streamed_and_whole(openai_of):
    client = openai_of()
    messages = [{"role": "user", "content": "hello"}]
    whole = client.chat.completions.create(model="sim-1", messages=messages)
    assert whole.choices[0].message.content == "You said: hello"
    chunks = list(client.chat.completions.create(model="sim-1", messages=messages, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: hello"


def test_responses_work_streamed_and_whole(openai_of):
    client = openai_of()
    whole = client.responses.create(model="sim-1", input="hello")
    assert whole.output_text == "You said: hello"
    assert client.responses.retrieve(whole.id).id == whole.id
    events = list(client.responses.create(model="sim-1", input="hello", stream=True))
    assert events[-1].type == "response.completed"


def test_messages_work_streamed_and_whole(anthropic_of):
    client = anthropic_of()
    messages = [{"role": "user", "content": "hello"}]
    whole = client.messages.create(model="claude-sim-1", max_tokens=50, messages=messages)
    assert whole.content[0].text == "You said: hello"
    with client.messages.stream(model="claude-sim-1", max_tokens=50, messages=messages) as stream:
        assert stream.get_final_text() == "You said: hello"
