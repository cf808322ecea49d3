"""Whole answers: shown once they are owned, and counted with what they tell, whatever they tell besides."""

import json
import time
from types import SimpleNamespace

import pytest

from app.protocol.call import Call, Caller, Place
from app.protocol.endpoints import BY_NAME
from app.protocol.errors import Problem, RelayError
from app.protocol.record import End
from app.relay.tap import Tap
from app.relay.trace import Trace
from app.relay.watch import Live, Watch

CALLER = Caller(user_id=1, token_id=1, owner_mark="mark")
PLACE = Place(1, 1, "openai", "http://127.0.0.1", "")
USAGE = {"input_tokens": 7, "output_tokens": 8}


class Answered:
    """A link whose upstream has answered with this."""

    status, headers, model, told, place = 200, (), "", None, PLACE

    def __init__(self, **members):
        self.body = json.dumps(members).encode()

    def whole(self):
        return self.body

    def close(self):
        pass


class Ledger:
    def __init__(self):
        self.settled = []
        self.completed = []

    def settle(self, record):
        self.settled.append(record)

    def complete(self, _caller, object_id, _usage):
        self.completed.append(object_id)


@pytest.fixture
def ledger():
    return Ledger()


def away(*_):
    raise RelayError(Problem.OVERLOADED, "Realms can't look up stored objects now; try again.")


def shown(name, ledger, claim=lambda *_: None, **members):
    """What the client gets; raises as the relay does, which settles what is not settled then."""
    call = Call(
        id="1", request_id="r", endpoint=BY_NAME[name], caller=CALLER, model="m", stores=True, started=time.monotonic()
    )
    watch, trace = Watch(write_s=60, total_s=60), Trace(call, ledger)
    trace.attempted(PLACE, model="", since=call.started, status=200)
    live = Live(None, write_s=60, total_s=60)
    tap = Tap(SimpleNamespace(claim=claim), ledger, watch)
    try:
        return b"".join(tap.reply(call, Answered(**members), live=live, trace=trace).body)
    finally:
        trace.settle(End.REFUSED, status=503)


def test_an_answer_that_cannot_be_shown_has_cost_what_it_tells(ledger):
    with pytest.raises(RelayError) as refused:
        shown("responses.create", ledger, claim=away, id="resp_1", status="completed", usage=USAGE)
    (record,) = ledger.settled
    assert (record.usage.input, record.usage.output) == (7, 8)
    assert (record.end, record.status, record.reason) == (End.REFUSED, 503, refused.value.code)


@pytest.mark.parametrize("name", ["responses.delete", "conversations.items.delete"])
def test_a_delete_without_a_word_is_passed_on(ledger, monkeypatch, name):
    monkeypatch.setattr(Answered, "status", 204)
    monkeypatch.setattr(Answered, "whole", lambda _: b"")
    assert shown(name, ledger) == b""


def test_no_other_call_is_answered_without_a_word(ledger, monkeypatch):
    monkeypatch.setattr(Answered, "status", 204)
    monkeypatch.setattr(Answered, "whole", lambda _: b"")
    with pytest.raises(RelayError) as refused:
        shown("responses.create", ledger)
    assert refused.value.problem is Problem.UPSTREAM


@pytest.mark.parametrize("status", [{"code": 0}, ["completed"], 5, True, None, "completed"])
@pytest.mark.parametrize("name", ["chat.create", "responses.retrieve"])
def test_a_status_of_any_kind_is_passed_on(ledger, name, status):
    told = json.loads(shown(name, ledger, status=status, usage=USAGE))
    assert told["status"] == status
    assert [record.end for record in ledger.settled] == [End.COMPLETED] * (name == "chat.create")
    assert len(ledger.completed) == (name == "responses.retrieve" and status == "completed")
