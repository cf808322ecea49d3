"""What a refusal teaches, and that it is asked once more with just that changed."""

import json

import pytest

from app.protocol.call import Call, Caller, Place, Target
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.relay import mend as module
from app.relay.mend import Mender
from app.upstreams import UPSTREAMS

TARGET = Target(Place(1, 2, "openai", "http://a", "k"), "theirs")
OTHER = Target(Place(3, 4, "openai", "http://b", "k"), "theirs")


def a_call(name="chat.create", *, stream=False, stores=False, **body):
    raw = json.dumps({"model": "m"} | body).encode()
    caller = Caller(1, 1, "mark")
    fields = {"stream": stream, "stores": stores, "model": "m"}
    return Call(id="c", request_id="r", endpoint=BY_NAME[name], caller=caller, body=parse(raw), **fields)


def refusal(code="unsupported_parameter", message="no", **more):
    return json.dumps({"error": {"code": code, "type": "invalid_request_error", "message": message} | more}).encode()


def sent(call, target=TARGET):
    return json.loads(UPSTREAMS["openai"].prepare(call, target).body)


def mended(mender, call, told, target=TARGET):
    return mender.mended(call, target, refusal=told)


@pytest.mark.parametrize(
    ("name", "told", "other"),
    [
        ("max_tokens", refusal(param="max_tokens"), "max_completion_tokens"),
        ("max_completion_tokens", refusal(param="max_completion_tokens"), "max_tokens"),
        ("max_tokens", refusal(message="Unsupported parameter: 'max_tokens' …"), "max_completion_tokens"),
        ("max_tokens", refusal(param="max_tokens", message="Use 'max_output_tokens' instead."), "max_output_tokens"),
    ],
)
def test_a_limit_by_an_unknown_name_is_asked_for_by_its_other_name_and_that_is_remembered(name, told, other):
    mender, call = Mender(), a_call(**{name: 50, "top_p": 1})
    again, target, how = mended(mender, call, told)
    assert sent(again, target) == {"model": "theirs", other: 50, "top_p": 1}
    assert how == "renamed"
    assert sent(*mender.prepared(call, TARGET)) == sent(again, target)
    assert mender.prepared(call, OTHER) == (call, OTHER)


def test_what_the_caller_wrote_is_otherwise_no_business_of_ours():
    assert mended(Mender(), a_call(top_p=1), refusal(param="top_p")) is None
    assert mended(Mender(), a_call(max_tokens=1), refusal("invalid_value", param="max_tokens")) is None
    assert mended(Mender(), a_call(), refusal(param="max_tokens")) is None
    assert mended(Mender(), a_call(), b"<html>") is None


def test_a_member_that_realms_added_is_left_out():
    mender, call = Mender(), a_call(stream=True, stores=True)
    assert {"stream_options", "metadata"} <= set(sent(call))
    again, target, how = mended(mender, call, b'{"detail":[{"loc":["body","stream_options"],"msg":"extra"}]}')
    assert how == "left_out"
    assert "stream_options" not in sent(again, target)
    assert "metadata" in sent(again, target)
    again, target, _ = mended(mender, again, refusal("x", message="metadata is not supported"), target)
    assert set(sent(again, target)) == {"model"}
    assert set(sent(*mender.prepared(call, TARGET))) == {"model"}


def test_a_member_that_the_caller_sent_stays():
    call = a_call(stream=True, stream_options={"include_usage": True})
    assert mended(Mender(), call, refusal(param="stream_options")) is None


def test_what_the_caller_left_empty_was_added_too():
    call = a_call(stream=True, stream_options=None)
    again, target, how = mended(Mender(), call, refusal(param="stream_options"))
    assert (how, sent(again, target)["stream_options"]) == ("left_out", None)


def test_a_lesson_is_forgotten_after_an_hour(monkeypatch):
    mender, call = Mender(), a_call(max_tokens=5)
    mended(mender, call, refusal(param="max_tokens"))
    later = module.time.monotonic() + module.LESSON_S + 1
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    assert mender.prepared(call, TARGET) == (call, TARGET)


def test_lessons_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "LESSONS_MAX", 10)
    mender = Mender()
    for n in range(50):
        call = Target(TARGET.place, f"m{n}")
        mended(mender, a_call(max_tokens=5), refusal(param="max_tokens"), call)
    assert len(mender._lessons) == 10
