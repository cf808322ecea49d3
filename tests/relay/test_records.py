"""TLS records that arrive together: what lies taken in but unread is told by no watcher, and must be looked for."""

import socket
import ssl

import gevent
import gevent.event
import pytest

from app.protocol.call import Call, Caller, Place
from app.protocol.endpoints import BY_NAME
from app.protocol.story import STORIES
from app.relay.dial import open_wire, secured
from app.relay.link import Link
from app.relay.pump import LAST_CHUNK, Pump
from app.relay.stream import Stream
from app.relay.transport import RelayAdapter, RelayRequest
from app.relay.watch import Watch
from app.relay.wire import Wire
from tests.relay.servers import OK, together, until_closed

ASKED = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
FIRST, SECOND = b"data: one\n\n", b"data: [DONE]\n\n"
CALLER = Caller(user_id=1, token_id=1, owner_mark="mark")
PLACE = Place(1, 1, "openai", "", "")


@pytest.fixture(scope="session")
def tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def adapter(trusting, serve):  # closed before the servers, which wait for that
    made = RelayAdapter(lambda origin, _: open_wire(2, ("127.0.0.1", origin.port), context=trusting, host="localhost"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def patience():
    """None of these waits for anything that isn't there already."""
    with gevent.Timeout(3):
        yield


def ask(adapter, server):
    return adapter.answer(RelayRequest("POST", f"{server.url}/", headers={}, body=b"{}", proxy=None))


def at_once(*records):
    """A script that answers with these records in one packet, and then says nothing more."""
    return [lambda sock: (together(*records)(sock), until_closed(sock))]


@pytest.mark.parametrize("cut", [1, 12, 17, 30, len(OK) - 3])
def test_a_head_in_two_records_is_read_to_its_end(adapter, serve, tls, cut):
    answer = ask(adapter, serve(at_once(OK[:cut], OK[cut:]), tls=tls))
    assert answer.read() == b"ok"
    answer.close()


def test_a_head_behind_an_informational_one_is_read(adapter, serve, tls):
    answer = ask(adapter, serve(at_once(b"HTTP/1.1 103 Early\r\n\r\n", OK), tls=tls))
    assert (answer.status, answer.read()) == (200, b"ok")
    answer.close()


def test_a_body_in_its_own_records_is_read(adapter, serve, tls):
    answer = ask(adapter, serve(at_once(OK[:-2], b"o", b"k"), tls=tls))
    assert answer.read() == b"ok"
    answer.close()


def test_a_second_answer_is_nobodys(adapter, serve, tls):
    """It lies taken in when the connection is looked at again, and must not become the next caller's."""
    server = serve(at_once(OK, OK.replace(b"ok", b"no")), [OK], tls=tls)
    for _ in range(2):
        answer = ask(adapter, server)
        assert answer.read() == b"ok"
        answer.close()
    assert server.connections == 2


class Registry:
    def claim(self, *_):
        pass


class Trace:
    settled = False

    def sent(self, block):
        pass

    def settle(self, end, **_):
        self.settled = True


@pytest.mark.parametrize("judged", [False, True], ids=["at once", "after its first event was judged"])
@pytest.mark.parametrize("records", [(STREAM, FIRST, SECOND), (STREAM + FIRST, SECOND), (STREAM, FIRST + SECOND)])
def test_a_pumped_stream_is_read_to_its_end(adapter, serve, tls, records, judged):
    watch = Watch(write_s=60, total_s=60)
    live = watch.enter(None)
    answer = ask(adapter, serve(at_once(*records), tls=tls))
    link = Link(answer, live, idle_s=60, place=PLACE, model="")
    if judged:
        link.put_back(link.read())
    call = Call(id="1", request_id="1", endpoint=BY_NAME["chat.create"], caller=CALLER)
    story = STORIES[call.endpoint.shape](call)
    stream = Stream(call, link, story, registry=Registry(), watch=watch, live=live, trace=Trace())
    ended = gevent.event.Event()
    client, outlet = socket.socketpair()
    outlet.setblocking(False)
    with client:
        pump = Pump(stream, link.wire, Wire(outlet), head=b"", done=lambda _: ended.set())
        assert pump.start() or ended.wait()
        assert pump.whole
        sent = client.recv(1000)
        assert sent.count(b"data: ") == 2
        assert sent.endswith(LAST_CHUNK)
        outlet.close()


def within(outer, context, *records):
    """Speak TLS inside of a connection that is under TLS already; each record goes out in one of its own."""
    got, gone = ssl.MemoryBIO(), ssl.MemoryBIO()
    inner = context.wrap_bio(got, gone, server_side=True)

    def until_done(step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                outer.sendall(gone.read())
                got.write(outer.recv(65536))

    until_done(inner.do_handshake)
    outer.sendall(gone.read())
    until_done(lambda: inner.read(1000))
    sealed = [inner.write(record) and gone.read() for record in records]
    together(*sealed)(outer)
    until_closed(outer)


def test_tls_in_tls_tells_of_what_either_holds(serve, tls, trusting):
    """As behind a proxy under TLS: here the outer one holds a record that the inner one knows nothing of."""
    server = serve([lambda sock: within(sock, tls, b"one", b"two")], tls=tls)
    outer = open_wire(2, ("127.0.0.1", server.port), context=trusting, host="localhost")
    outer.write(ASKED)
    wire = secured(outer, context=trusting, host="localhost")
    wire.write(ASKED)
    assert (wire.read(), wire.holds) == (b"one", True)
    assert (wire.read_now(), wire.holds) == (b"two", False)
    wire.close()
