"""Ways through real proxies in processes of their own, to upstreams in clear and under TLS."""

import socket
import ssl

import pytest
from pydantic import SecretStr

from app.protocol.proxy import Proxy, read
from app.relay.dial import open_wire, secured
from app.relay.egress import Egress, EgressError
from app.relay.transport import RelayRequest
from app.relay.wire import WireError
from app.settings import Settings
from tests.live import free_port
from tests.proxying import proxy as running
from tests.relay.servers import OK, chunked, until_closed

SECRET = SecretStr("long-enough-for-a-secret-of-these-tests")
LOGIN = "user:geheim"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, authority):
    made = tmp_path_factory.mktemp("proxies")
    authority.cert_pem.write_to_path(made / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(made / "proxy.pem")
    return made


@pytest.fixture(scope="module", params=["http", "https", "socks5", "socks5h"])
def through(request, folder):
    """A proxy of each kind that wants a login."""
    more = {"certificate": folder / "proxy.pem"} if request.param == "https" else {}
    with running(folder, request.param, login=LOGIN, **more) as proxy:
        yield proxy


@pytest.fixture
def way_out(folder):
    """A way out that may reach this machine by nothing but a proxy's own address."""
    made = []

    def build(**more):
        more = {"connect_s": 2, "ca_file": folder / "ca.pem"} | more
        made.append(Egress(Settings(secret_key=SECRET, vault_keys=SECRET, **more)))
        return made[-1]

    yield build
    for egress in made:
        egress.adapter.close()


@pytest.fixture(params=["clear", "tls"])
def upstream(request, serve, authority):
    """Starts a scripted upstream, in clear and under TLS."""

    def start(*scripts):
        tls = None
        if request.param == "tls":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(tls)
        return serve(*scripts, tls=tls)

    return start


def of(running_proxy, login=LOGIN):
    named = read(running_proxy.address)
    return Proxy(named.scheme, named.host, named.port, login)


def fetch(egress, server, proxy, **more):
    return egress.fetch("GET", f"{server.url}/v1/models", headers={"authorization": "Bearer ours"}, proxy=proxy, **more)


def failure(egress, server, proxy, **more):
    with pytest.raises(EgressError) as raised:
        fetch(egress, server, proxy, **more)
    assert "geheim" not in str(raised.value)
    assert "Z2VoZWlt" not in str(raised.value)
    return raised.value


def test_a_call_leads_through_the_proxy_which_looks_the_name_up(way_out, through, upstream):
    server, before = upstream([OK]), len(through.seen())
    assert fetch(way_out(), server, of(through)).body == b"ok"
    note = through.seen()[before]
    assert (note["to"], note["login"]) == (f"localhost:{server.port}", LOGIN)
    assert b"GET /v1/models HTTP/1.1\r\n" in server.seen[0]
    assert b"geheim" not in server.seen[0]
    assert b"proxy-authorization" not in server.seen[0].lower()
    assert ("Bearer ours" in note["first"]) is server.url.startswith("http:")


def test_large_answers_and_streams_come_through_whole(way_out, through, upstream):
    payload = [bytes([n % 256]) * 70_000 for n in range(20)]
    server = upstream([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunked(*payload), OK])
    egress = way_out()
    assert fetch(egress, server, of(through)).body == b"".join(payload)
    assert fetch(egress, server, of(through)).body == b"ok"
    assert server.connections == 1


def test_large_requests_go_through_whole(way_out, through, upstream):
    server, body = upstream([OK]), bytes(range(256)) * 8000
    egress = way_out()
    assert egress.fetch("POST", server.url, headers={}, body=body, proxy=of(through)).body == b"ok"
    assert server.seen[0].endswith(body)


def test_a_way_through_a_proxy_is_never_used_for_a_call_without_or_with_another_login(way_out, through, upstream):
    server, egress = upstream([OK] * 9), way_out(egress_allow="127.0.0.0/8 ::1/128")
    before, answers = len(through.seen()), []
    for proxy in (of(through), None, of(through), None):
        answers.append(fetch(egress, server, proxy).status)
    assert answers == [200] * 4
    assert (server.connections, len(through.seen()) - before) == (2, 1)
    assert failure(egress, server, of(through, "user:other")).phase == "proxy_login"
    assert server.connections == 2


@pytest.mark.acceptance("E-6")
def test_the_upstreams_certificate_is_checked_through_a_proxy_too(way_out, through, serve, authority):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(tls)
    server = serve([OK], tls=tls)
    assert failure(way_out(), server, of(through)).phase == "tls"
    assert server.seen == []


def test_who_is_cut_in_the_middle_sees_it_through_a_proxy_too(way_out, through, upstream):
    server = upstream([lambda sock: (sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),)])
    assert failure(way_out(), server, of(through)).phase == "answer"


def test_an_abort_ends_a_call_through_a_proxy_too(way_out, through, upstream):
    server, egress = upstream([until_closed]), way_out()
    request = RelayRequest("GET", server.url, headers={}, body=None, proxy=of(through))
    request.on_wire = lambda wire: wire.abort()
    with pytest.raises((WireError, EgressError)):
        egress.adapter.answer(request)


# -- what fails, and never goes around


@pytest.mark.parametrize("login", ["", "user:wrong"])
def test_a_wrong_login_is_told_as_such(way_out, through, upstream, login):
    server = upstream([OK])
    told = failure(way_out(egress_allow="127.0.0.0/8"), server, of(through, login))
    assert told.phase == "proxy_login"
    assert str(of(through)) in str(told)
    assert server.connections == 0


@pytest.mark.parametrize(("scheme", "answer"), [("http", 502), ("http", 403), ("socks5", 5), ("socks5", 2)])
def test_a_proxy_that_refuses_is_named(way_out, folder, upstream, scheme, answer):
    server = upstream([OK])
    with running(folder, scheme, answer=answer) as proxy:
        told = failure(way_out(egress_allow="127.0.0.0/8"), server, of(proxy, ""))
    assert told.phase == "proxy_failed"
    assert proxy.address in str(told)
    assert server.connections == 0


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_proxy_that_is_away_or_silent_is_named_and_not_gone_around(way_out, folder, upstream, scheme):
    server, egress = upstream([OK]), way_out(connect_s=0.5, egress_allow="127.0.0.0/8")
    assert failure(egress, server, Proxy(scheme, "127.0.0.1", free_port())).phase == "proxy_unreachable"
    assert failure(egress, server, Proxy(scheme, "nowhere.invalid", 3128)).phase == "proxy_unreachable"
    with running(folder, scheme, fault="hang") as proxy:
        assert failure(egress, server, of(proxy, "")).phase in {"proxy_timeout", "proxy_unreachable"}
    assert server.connections == 0


def test_a_proxy_under_tls_must_prove_who_it_is(way_out, folder, upstream):
    server = upstream([OK])
    with running(folder, "https", certificate=folder / "proxy.pem") as proxy:
        told = failure(way_out(), server, Proxy("https", "127.0.0.1", proxy.port))
    assert (told.phase, proxy.seen()) == ("proxy_unreachable", [])


@pytest.mark.acceptance("E-3")
@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200"])
def test_no_proxy_leads_to_metadata_or_stands_there(way_out, through, host):
    egress = way_out(egress_allow="0.0.0.0/0 ::/0")
    with pytest.raises(EgressError, match="metadata"):
        egress.fetch("GET", f"http://{host}/latest", headers={}, proxy=of(through))
    with pytest.raises(EgressError, match="metadata") as raised:
        egress.fetch("GET", "http://api.example.com/", headers={}, proxy=read(f"http://{host}:3128"))
    assert raised.value.phase == "proxy_unreachable"


@pytest.mark.acceptance("E-13")
@pytest.mark.parametrize("address", ["http://127.0.0.1:8080", "http://localhost:8080", "socks5://10.0.0.9:6379"])
def test_no_proxy_is_a_database_or_realms_itself(way_out, address):
    with pytest.raises(EgressError) as raised:
        way_out(bind="0.0.0.0:8080").fetch("GET", "http://api.example.com/", headers={}, proxy=read(address))
    assert raised.value.phase == "proxy_unreachable"


def test_a_proxy_does_not_let_its_neighbours_be_called(way_out, serve):
    """It is allowed by its host and port; what stands beside it isn't."""
    server, other = serve([OK]), serve([OK])
    egress = way_out()
    assert failure(egress, server, Proxy("http", "127.0.0.1", other.port)).phase == "proxy_failed"
    with pytest.raises(EgressError, match="private"):
        egress.fetch("GET", f"http://127.0.0.1:{other.port}/", proxy=None, headers={})


def test_a_wire_goes_over_to_tls_after_something_was_said_in_clear(serve, authority, trusting):
    """As behind any proxy, with nothing but sockets."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    server = serve([OK], tls=tls)
    plain = open_wire(socket.AF_INET, ("127.0.0.1", server.port))
    wire = secured(plain, context=trusting, host="localhost")
    wire.write(b"GET / HTTP/1.1\r\n\r\n")
    assert wire.read() == OK
    wire.close()
