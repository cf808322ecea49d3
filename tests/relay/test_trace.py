"""What becomes of one call is told once, and in words that every database can keep."""

import time

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.record import End
from app.relay.trace import Trace

CALLER = Caller(user_id=1, token_id=1, owner_mark="mark")


class Kept:
    def __init__(self):
        self.opened, self.settled = [], []

    def open(self, record):
        self.opened.append(record)

    def settle(self, record):
        self.settled.append(record)


def trace_of(name, kept, **more):
    call = Call(id="1", request_id="r", endpoint=BY_NAME[name], caller=CALLER, started=time.monotonic(), **more)
    return Trace(call, kept)


def test_only_the_first_end_counts():
    kept = Kept()
    trace = trace_of("responses.create", kept, model="m")
    trace.begin()
    trace.sent(b"body")
    trace.settle(End.COMPLETED, status=200)
    trace.settle(End.CLIENT_LEFT, status=499)
    assert [(record.end, record.status, record.bytes_out) for record in kept.settled] == [(End.COMPLETED, 200, 4)]
    assert [record.end for record in kept.opened] == [End.ABORTED]


def test_an_upstreams_word_for_what_went_wrong_is_mended_and_cut():
    kept = Kept()
    trace_of("chat.create", kept).settle(End.FAILED, status=400, reason="bad\0code" + "x" * 500)
    (record,) = kept.settled
    assert record.reason.startswith("bad\ufffdcode")
    assert len(record.reason) == 200


def test_reads_of_stored_objects_leave_no_record():
    kept = Kept()
    trace = trace_of("responses.retrieve", kept)
    trace.begin()
    trace.settle(End.COMPLETED, status=200)
    assert (kept.opened, kept.settled) == ([], [])


def test_times_are_whole_milliseconds_since_the_call_began():
    kept = Kept()
    trace = trace_of("chat.create", kept)
    time.sleep(0.02)
    trace.sent(b"x")
    trace.settle(End.COMPLETED, status=200)
    (record,) = kept.settled
    assert 20 <= record.first_byte_ms <= record.total_ms
