"""A stream whose upstream came late: whatever came of it is let go of when its client is gone."""

from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.record import End
from app.relay.late import Late
from app.relay.link import Link
from app.relay.patience import Patience
from app.relay.trace import Trace
from app.relay.watch import Live, Watch
from app.relay.wire import Silence

CALLER = Caller(user_id=1, token_id=1, owner_mark="mark")


@pytest.mark.parametrize("leaves_first", [True, False])
def test_a_link_that_nobody_came_for_is_closed(leaves_first):
    """Its client may leave before it is there, or while it takes the heartbeat before that."""
    go_on, closed, kept = Event(), [], []
    live = Live(None, write_s=60, total_s=60)
    link = Link(SimpleNamespace(status=200, headers=(), close=lambda: None), live, idle_s=60, place=None, model="")
    link.on_close = lambda: closed.append(link)
    opening = Patience(lambda: go_on.wait() and link)
    gevent.spawn(opening.interrupt)
    with pytest.raises(Silence):
        opening.begin()
    call = Call(id="1", request_id="1", endpoint=BY_NAME["responses.create"], caller=CALLER, stream=True)
    trace, watch = Trace(call, SimpleNamespace(settle=kept.append)), Watch(write_s=60, total_s=60, heartbeat_s=10)
    late = Late(call, opening, None, live=live, trace=trace, watch=watch)
    assert next(late) == b": ping\n\n"
    if leaves_first:
        late.close()
    go_on.set()
    gevent.sleep(0)
    assert opening.over
    late.close()
    assert closed == [link]
    assert [record.end for record in kept] == [End.CLIENT_LEFT]
