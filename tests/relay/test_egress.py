"""The way out: which addresses are dialled, whom it trusts, and what it never does."""

import socket
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from pydantic import SecretStr

from app.relay import names
from app.relay.egress import Egress, EgressError
from app.relay.transport import Origin, RelayRequest
from app.settings import Settings
from tests.live import free_port
from tests.relay.servers import OK, until_closed

SECRET = SecretStr("long-enough-for-a-secret-of-these-tests")


@pytest.fixture
def way_out():
    """Return a way out that may reach these networks."""
    made = []

    def build(allow="", **more):
        settings = Settings(egress_allow=allow, secret_key=SECRET, vault_keys=SECRET, connect_s=2, **more)
        made.append(Egress(settings))
        return made[-1]

    yield build
    for egress in made:
        egress.adapter.close()


def phase_of(egress, url, **more):
    with pytest.raises(EgressError) as raised:
        egress.fetch("GET", url, proxy=None, headers={}, **more)
    return raised.value.phase


def test_a_call_that_says_nothing_of_a_proxy_is_not_made(way_out, serve):
    """So that no caller goes around an upstream's proxy by forgetting it."""
    egress, server = way_out("127.0.0.0/8"), serve([OK])
    with pytest.raises(TypeError, match="proxy"):
        egress.fetch("GET", server.url, headers={})
    with pytest.raises(TypeError, match="proxy"):
        RelayRequest("GET", server.url, headers={}, body=None)
    with pytest.raises(TypeError, match="proxy"):
        egress.session.get(server.url)
    assert server.seen == []


REFUSED = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "0.0.0.0",
    "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1", "240.0.0.1", "192.0.0.8",
    "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]", "[2001:db8::1]",
    "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::1]",
    "[3fff::1]", "[5f00::1]", "[2001::1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[::127.0.0.1]",
]  # fmt: skip
METADATA = [
    "169.254.169.254", "100.100.100.200", "[fd00:ec2::254]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
]  # fmt: skip
EVERYTHING = "0.0.0.0/0 ::/0"


@pytest.mark.acceptance("E-3")
@pytest.mark.parametrize("host", [*REFUSED, *METADATA])
def test_a_private_or_special_address_is_refused(way_out, host):
    assert phase_of(way_out(), f"http://{host}:9/") == "address"


@pytest.mark.acceptance("E-3")
@pytest.mark.parametrize("host", METADATA)
def test_a_metadata_address_is_refused_whatever_is_allowed(way_out, host):
    assert phase_of(way_out(EVERYTHING), f"http://{host}:9/") == "address"


@pytest.mark.acceptance("E-3")
@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", "localhost", "LOCALHOST."])
def test_other_spellings_of_a_private_address_are_refused(way_out, host):
    assert phase_of(way_out(), f"http://{host}:9/") in {"address", "dns"}


@pytest.mark.parametrize(("allow", "host"), [("127.0.0.0/8", "127.0.0.1"), ("127.0.0.0/8", "[::ffff:127.0.0.1]")])
def test_an_allowed_network_is_reached(way_out, serve, allow, host):
    server = serve([OK])
    if "ffff" in host:
        assert phase_of(way_out("10.0.0.0/8"), f"http://{host}:{server.port}/") == "address"
        return
    assert way_out(allow).fetch("GET", f"http://{host}:{server.port}/", proxy=None, headers={}).body == b"ok"


@pytest.mark.acceptance("E-3")
def test_only_the_network_that_is_allowed_is_reached(way_out):
    assert phase_of(way_out("127.0.0.0/8"), "http://10.0.0.1:9/") == "address"


def found(*addresses):
    return [(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, 0)) for a in addresses]


@pytest.mark.acceptance("E-3")
def test_one_private_address_among_public_ones_refuses_the_name(way_out, monkeypatch):
    monkeypatch.setattr(names, "getaddrinfo", lambda *_, **__: found("93.184.216.34", "127.0.0.1"))
    assert phase_of(way_out(), "http://mixed.example/") == "address"


@pytest.mark.acceptance("E-3")
def test_the_address_that_was_checked_is_the_one_that_is_dialled(way_out, serve, monkeypatch):
    """The name is looked up once: what it would answer the second time doesn't matter."""
    server = serve([OK])
    answers = [found("127.0.0.1"), found("127.0.0.66")]
    asked = []
    monkeypatch.setattr(names, "getaddrinfo", lambda *a, **_: (asked.append(a), answers[len(asked) - 1])[1])
    egress = way_out("127.0.0.1/32")
    assert egress.fetch("GET", f"http://rebinding.example:{server.port}/", proxy=None, headers={}).body == b"ok"
    egress.adapter.close()
    server = serve([OK])
    assert len(asked) == 1
    assert phase_of(egress, f"http://rebinding.example:{server.port}/") == "address"


def test_a_name_without_address_is_told_as_such(way_out):
    assert phase_of(way_out(), "http://nowhere.invalid/") == "dns"


def test_a_port_that_nobody_listens_at_is_told_as_such(way_out):
    assert phase_of(way_out("127.0.0.0/8"), f"http://127.0.0.1:{free_port()}/") == "refused"


def test_the_next_address_is_tried_when_one_does_not_answer(way_out, serve, monkeypatch):
    server = serve([OK])
    monkeypatch.setattr(names, "getaddrinfo", lambda *_, **__: found("127.0.0.66", "127.0.0.1"))
    assert (
        way_out("127.0.0.0/8").fetch("GET", f"http://two.example:{server.port}/", proxy=None, headers={}).body == b"ok"
    )


def test_a_call_can_bring_a_limit_of_its_own_for_the_connection(way_out, serve):
    silent = serve([until_closed])
    began = time.monotonic()
    with pytest.raises(EgressError) as raised:
        way_out("127.0.0.0/8").dial(Origin("https", "127.0.0.1", silent.port), 0.3)
    assert raised.value.phase == "connect"
    assert 0.2 < time.monotonic() - began < 1.5


def test_an_address_that_nobody_answers_at_leaves_time_for_the_next(way_out, serve, monkeypatch):
    """And however many there are, all of them together get no more than the time for one connection."""
    silent = socket.create_server(("127.0.0.66", 0), backlog=0)
    kept = []
    while True:  # until its queue is full, and the kernel answers nobody any more
        kept.append(socket.socket())
        kept[-1].settimeout(0.1)
        try:
            kept[-1].connect(silent.getsockname())
        except TimeoutError:
            break
    port = silent.getsockname()[1]
    server = serve([OK], port=port)
    egress = way_out("127.0.0.0/8")
    monkeypatch.setattr(names, "getaddrinfo", lambda *_, **__: found("127.0.0.66", "127.0.0.1"))
    assert egress.fetch("GET", f"http://two.example:{port}/", proxy=None, headers={}).body == b"ok"
    assert server.connections == 1
    monkeypatch.setattr(names, "getaddrinfo", lambda *_, **__: found("127.0.0.66", "127.0.0.66"))
    began = time.monotonic()
    assert phase_of(egress, f"http://none.example:{port}/") == "connect"
    assert time.monotonic() - began < 3.5
    for each in (silent, *kept):
        each.close()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "http:///x", "gopher://127.0.0.1:6379/_x"])
def test_only_the_web_is_reached(way_out, url):
    assert phase_of(way_out("127.0.0.0/8"), url) == "address"


# -- what it never does


@pytest.mark.acceptance("E-4")
def test_a_redirect_is_not_followed(way_out, serve):
    other = serve([OK])
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % other.url.encode()
    server = serve([moved])
    here = server.url.replace("localhost", "127.0.0.1")
    assert way_out("127.0.0.0/8").fetch("GET", here, proxy=None, headers={}).status == 307
    assert other.seen == []


@pytest.mark.acceptance("E-4")
def test_no_cookie_is_kept(way_out, serve):
    server = serve([OK.replace(b"\r\n\r\n", b"\r\nset-cookie: stolen=1; path=/\r\n\r\n")] * 2)
    egress = way_out("127.0.0.0/8")
    for _ in range(2):
        egress.fetch("GET", f"http://127.0.0.1:{server.port}/", proxy=None, headers={})
    assert b"cookie" not in server.seen[1].lower()


@pytest.mark.acceptance("E-4")
def test_netrc_and_proxies_of_the_environment_are_ignored(way_out, serve, tmp_path, monkeypatch):
    proxy, server = serve([OK]), serve([OK])
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password thief\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    way_out("127.0.0.0/8").fetch(
        "GET", f"http://127.0.0.1:{server.port}/", proxy=None, headers={"authorization": "Bearer ours"}
    )
    assert b"authorization: Bearer ours\r\n" in server.seen[0]
    assert proxy.seen == []


def test_a_call_of_our_own_is_bounded_in_size_and_time(way_out, serve):
    egress = way_out("127.0.0.0/8")
    large = serve([b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + bytes(2000)])
    assert phase_of(egress, f"http://127.0.0.1:{large.port}/", limit=1999) == "answer"
    silent = serve([until_closed])
    assert phase_of(egress, f"http://127.0.0.1:{silent.port}/", timeout_s=0.2) == "answer"


# -- whom it trusts


def tls_server(serve, authority, name="localhost", **more):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, **more).configure_cert(context)
    return serve([OK], tls=context), context


@pytest.fixture
def trusts(way_out, authority, tmp_path):
    """A way out that trusts the authority of these tests."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return way_out("127.0.0.0/8 ::1/128", ca_file=tmp_path / "ca.pem")


def test_a_certificate_of_a_trusted_authority_is_accepted(trusts, serve, authority):
    server, _ = tls_server(serve, authority)
    assert trusts.fetch("GET", server.url, proxy=None, headers={}).body == b"ok"


@pytest.mark.acceptance("E-6")
def test_the_certificate_must_be_the_hosts_own(trusts, serve, authority):
    server, _ = tls_server(serve, authority, "other.example")
    assert phase_of(trusts, server.url) == "tls"
    assert server.seen == []


@pytest.mark.acceptance("E-6")
def test_an_expired_certificate_is_refused(trusts, serve, authority):
    past = datetime.now(UTC) - timedelta(days=1)
    server, _ = tls_server(serve, authority, not_after=past)
    assert phase_of(trusts, server.url) == "tls"


@pytest.mark.acceptance("E-6")
def test_a_certificate_that_nobody_vouches_for_is_refused(trusts, serve):
    server, _ = tls_server(serve, trustme.CA())
    assert phase_of(trusts, server.url) == "tls"


@pytest.mark.acceptance("E-6")
def test_an_old_protocol_is_refused(trusts, serve, authority):
    server, context = tls_server(serve, authority)
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    assert phase_of(trusts, server.url) in {"tls", "connect"}
