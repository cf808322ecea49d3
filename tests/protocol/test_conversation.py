"""A conversation is known by what its client calls it, the best name first; by how it begins where it has none."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.call import Call, Caller
from app.protocol.conversation import HEADERS, Conversation, by_its_beginning, conversation_of
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse

SESSION = "0199a213-81c0-7800-8aa1-bbab2a035a53"
CODE = "user_1f2e3d_account_0a1b_session_" + SESSION
JSON_ID = json.dumps({"device_id": "d", "account_uuid": "", "session_id": SESSION})


def of(body, name="responses.create", *, mark="mark-of-alice", **headers):
    raw = body if isinstance(body, bytes) else json.dumps({"model": "m"} | body).encode()
    call = Call(
        id="c",
        request_id="r",
        endpoint=BY_NAME[name],
        caller=Caller(1, 1, mark),
        headers=tuple((key.replace("_", "-"), value) for key, value in headers.items()),
        body=parse(raw),
    )
    return by_its_beginning(call, conversation_of(call))


def turns(*texts):
    return [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(texts)]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_names_it(header):
    named = of({"input": "a"}, **{header: SESSION})
    assert named.named
    assert len(named.key) == 32
    assert named == of({"input": "b", "prompt_cache_key": "other"}, **{header: SESSION})
    assert named.key != of({"input": "a"}, **{header: "another"}).key


def test_the_best_header_wins():
    assert of({}, thread_id="t", session_id="s") == of({}, session_id="s")
    assert of({}, session_id="s").key != of({}, thread_id="s").key


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("responses.create", {"prompt_cache_key": SESSION}),
        ("chat.create", {"prompt_cache_key": SESSION, "metadata": {"user_id": CODE}}),
        ("messages.create", {"metadata": {"user_id": CODE}}),
        ("messages.create", {"metadata": {"user_id": JSON_ID}}),
        ("responses.create", {"conversation": "conv_1"}),
        ("responses.create", {"conversation": {"id": "conv_1"}}),
    ],
)
def test_the_body_names_it(name, body):
    member = "input" if name.startswith("responses") else "messages"
    named = of(body | {member: turns("a")}, name)
    assert named.named
    assert named == of(body | {member: turns("quite another", "x", "y")}, name)


def test_both_spellings_of_claude_codes_session_are_the_same_session():
    old, new = ({"metadata": {"user_id": user_id}} for user_id in (CODE, JSON_ID))
    assert of(old, "messages.create") == of(new, "messages.create")


@pytest.mark.parametrize(
    "body",
    [
        {"prompt_cache_key": ""},
        {"prompt_cache_key": None},
        {"prompt_cache_key": 5},
        {"metadata": {"user_id": "somebody"}},
        {"metadata": {"user_id": "{broken"}},
        {"metadata": {"user_id": '{"session_id":5}'}},
        {"metadata": {"user_id": 5}},
        {"metadata": ["user_id"]},
        {"conversation": None},
        {"conversation": ""},
    ],
    ids=str,
)
def test_what_names_nothing_leaves_the_beginning(body):
    told = of(body | {"messages": turns("a")}, "messages.create")
    assert not told.named
    assert told == of({"messages": turns("a")}, "messages.create")


BEGINNINGS = {"responses.create": ("instructions", "input"), "messages.create": ("system", "messages")}


@pytest.mark.parametrize("name", [*BEGINNINGS, "chat.create"])
def test_without_a_name_it_is_known_by_its_first_turn(name):
    system, member = BEGINNINGS.get(name, ("", "messages"))
    first = of({member: turns("hello")}, name)
    assert first.key
    assert not first.continues
    assert of({member: turns("hello", "hi", "how are you?")}, name).continues
    assert first.key == of({member: turns("hello", "hi", "how are you?")}, name).key
    assert first.key != of({member: turns("other")}, name).key
    if system:
        assert first.key != of({system: "Be kind.", member: turns("hello")}, name).key


def test_in_a_chat_what_stands_before_the_users_first_turn_counts_too():
    kind, harsh = ([{"role": "system", "content": text}, *turns("hello")] for text in ("kind", "harsh"))
    assert of({"messages": kind}, "chat.create").key != of({"messages": harsh}, "chat.create").key
    more = [*kind, *turns("a", "b")]
    assert of({"messages": kind}, "chat.create").key == of({"messages": more}, "chat.create").key


def test_a_plain_input_is_its_own_beginning():
    assert of({"input": "hello"}).key != of({"input": "other"}).key
    assert of({"input": "x" * 20_000}).key != of({"input": "x" * 20_001}).key


def test_another_users_conversation_never_has_the_same_key():
    assert of({}, session_id="s").key != of({}, mark="mark-of-bob", session_id="s").key
    assert "0199a213" not in of({}, session_id=SESSION).key


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("responses.create", {"input": [{"type": "reasoning", "encrypted_content": "gAAAA", "summary": []}]}),
        ("responses.compact", {"input": [{"type": "compaction", "encrypted_content": "gAAAA"}]}),
        ("messages.create", {"messages": [{"content": [{"type": "thinking", "thinking": "", "signature": "Eq"}]}]}),
        ("messages.create", {"messages": [{"content": [{"type": "redacted_thinking", "data": "Em"}]}]}),
    ],
)
def test_state_that_one_account_can_read_is_seen(name, body):
    assert of(body, name).sealed


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("responses.create", {"include": ["reasoning.encrypted_content"], "input": "a"}),
        ("responses.create", {"input": [{"type": "reasoning", "encrypted_content": None}]}),
        ("responses.create", {"input": 'what is "encrypted_content": "x"?'}),
        ("messages.create", {"messages": turns('"thinking" "signature":"x"')}),
        ("messages.create", {"thinking": {"type": "enabled"}, "messages": turns("a")}),
        ("chat.create", {"messages": turns("a")}),
    ],
)
def test_words_about_such_state_are_none(name, body):
    assert not of(body, name).sealed


def test_what_stands_for_the_conversation_itself_is_seen():
    items = [{"type": kind, "encrypted_content": "g"} for kind in ("reasoning", "compaction", "compaction_summary")]
    assert [of({"input": [item]}).compacted for item in items] == [False, True, True]
    assert not of({"input": [items[0], {"type": "compaction_trigger"}]}).compacted


@pytest.mark.parametrize("name", ["responses.retrieve", "conversations.create"])
def test_calls_without_a_model_belong_to_none(name):
    assert of({"input": "a"}, name, session_id="s") == Conversation()


@pytest.mark.parametrize("body", [{}, {"input": None}, {"input": []}, {"input": 5}, {"input": [5, None, []]}], ids=str)
def test_no_body_is_too_odd(body):
    of(body)
    of(body | {"messages": body.get("input")}, "messages.create")


@given(st.binary(max_size=60))
def test_members_of_broken_json_are_no_trouble(junk):
    try:
        call = parse(b'{"model":"m","input":[' + junk + b'],"metadata":{' + junk + b"}}")
    except Exception:
        return
    of(call.body)


def test_a_long_history_costs_little():
    history = turns(*("word " * 2000 for _ in range(100)))
    call = json.dumps({"model": "m", "messages": history}).encode()
    body = parse(call)
    made = Call(id="c", request_id="r", endpoint=BY_NAME["chat.create"], caller=Caller(1, 1, "m"), body=body)

    def once():
        since = time.perf_counter()
        by_its_beginning(made, conversation_of(made))
        return time.perf_counter() - since

    assert min(once() for _ in range(20)) < 0.02  # a megabyte
