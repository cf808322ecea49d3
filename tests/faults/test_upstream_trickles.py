"""X-7: an upstream that sends a byte now and then, and one whose TLS ends without a goodbye: never an end that looks whole."""

import json
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import trustme

from app.services import catalog, upstreams
from tests import live
from tests.contract.test_streams import assert_recorded, assert_told_in_stream, error_of
from tests.faults.clients import MESSAGES, TALKS, call, name_of
from tests.relay.servers import serving

IDLE_S, TOTAL_S = 3, 8
RARELY, SLOWLY, TOO_LONG = "fault=slow_body:0.2", "fault=slow_body:1", "events=200,fault=slow_body:300"
"""A byte every five seconds is silence; one each second is none, and no answer either; the last shows events at least."""
LATE_S = 5
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


class Upstream:
    """A server under TLS; it answers with what is set here, and hangs up."""

    def __init__(self, start, tls):
        self.answer, self.says_goodbye = b"", True
        self.port = start([self._say], tls=tls).port

    def _say(self, sock):
        sock.sendall(self.answer)
        if not self.says_goodbye:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def upstream(authority):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with serving() as start:
        yield Upstream(start, tls)


@pytest.fixture(scope="module")
def house(provider, authority, upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trickles")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    waits = {"first_byte_s": str(IDLE_S), "stream_idle_s": str(IDLE_S), "stream_total_s": str(TOTAL_S)}
    with (
        live.database("sqlite", folder, "trickles") as url,
        live.open_house(folder, url, provider, ca_file=str(folder / "ca.pem"), **waits) as running,
    ):
        running.changed(lambda: _add(f"https://127.0.0.1:{upstream.port}"))
        yield running


def _add(url):
    for kind, base, model in (("openai", f"{url}/v1", "tls-sim"), ("anthropic", url, "tls-claude")):
        made = upstreams.create(name=f"tls {kind}", kind=kind, base_url=base, key="x", priority=0, weight=1, actor=None)
        catalog.import_models(made.id, {model: None}, actor=None)


def through_tls(house, talk, *, stream):
    return call(house, talk, model="tls-claude" if talk is MESSAGES else "tls-sim", stream=stream)


def answer_of(provider, talk, *, stream):
    """Everything that the provider sends, its body without a stated length, so that the connection's end is its own."""
    body = json.dumps(talk.asks("events=5,fault=no_length", stream=stream)).encode()
    key = "x-api-key: sim-claude" if talk is MESSAGES else "authorization: Bearer sim-main"
    more = "".join(f"{name}: {value}\r\n" for name, value in talk.headers.items())
    head = f"POST {talk.path} HTTP/1.1\r\nhost: x\r\n{key}\r\n{more}content-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", provider.port), timeout=20) as sock:
        sock.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.fault("X-7")
def test_an_upstream_that_sends_a_byte_now_and_then_is_given_up_in_time(house, sim, tell):
    cases = [(talk, way, stream) for talk in TALKS for way in (RARELY, SLOWLY) for stream in (True, False)]
    cases += [(talk, TOO_LONG, True) for talk in TALKS]

    def once(case):
        talk, way, stream = case
        since = time.monotonic()
        return call(house, talk, way, stream=stream), time.monotonic() - since

    with ThreadPoolExecutor(len(cases)) as pool:
        answers = list(pool.map(once, cases))
    took = {case[1:]: seconds for case, (_, seconds) in zip(cases, answers, strict=True)}
    tell(
        f"a byte every 5 s: told after {took[RARELY, True]:.1f} s ({IDLE_S} of silence); one each second: a stream after "
        f"{took[SLOWLY, True]:.1f} s ({IDLE_S} for its first event), an answer after {took[SLOWLY, False]:.1f} s "
        f"({TOTAL_S} for all of it), events without end after {took[TOO_LONG, True]:.1f} s"
    )
    for (talk, way, stream), (got, seconds) in zip(cases, answers, strict=True):
        limit = TOTAL_S if way == TOO_LONG or (way == SLOWLY and not stream) else IDLE_S
        assert limit <= seconds < limit + LATE_S, (talk.name, way)
        if way == TOO_LONG:
            assert_told_in_stream(talk, got, 504)
            assert_recorded(house, got, status=200, end="upstream_cut", reason="upstream_timeout")
        else:
            error_of(talk, got, 504)
            assert_recorded(house, got, status=504, end="refused", reason="upstream_timeout")


@pytest.mark.fault("X-7")
@pytest.mark.parametrize("talk", TALKS, ids=name_of)
def test_tls_that_ends_without_a_goodbye_is_told_as_broken(house, sim, upstream, talk):
    """A body of no stated length ends with its connection: without a goodbye, a cut can't be told from that end."""
    upstream.answer, upstream.says_goodbye = answer_of(house.provider, talk, stream=False), True
    assert through_tls(house, talk, stream=False).status == 200
    upstream.says_goodbye = False
    got = through_tls(house, talk, stream=False)
    error_of(talk, got, 502)
    assert_recorded(house, got, status=502, end="refused", reason="upstream_error")


@pytest.mark.fault("X-7")
@pytest.mark.parametrize("talk", TALKS, ids=name_of)
def test_a_stream_whose_tls_ends_between_two_events_is_told_as_broken(house, sim, upstream, talk):
    whole = answer_of(house.provider, talk, stream=True)
    for goodbye in (True, False):
        upstream.answer, upstream.says_goodbye = whole, goodbye
        got = through_tls(house, talk, stream=True)
        assert talk.ends in got.body, "its last event has come: the stream is whole, however it hangs up"
        assert_recorded(house, got, status=200, end="completed")
        upstream.answer = whole[: whole.rindex(b"\n\n", 0, len(whole) * 3 // 4) + 2]
        got = through_tls(house, talk, stream=True)
        assert_told_in_stream(talk, got, 502)
        assert_recorded(house, got, status=200, end="upstream_cut", reason="upstream_error")
