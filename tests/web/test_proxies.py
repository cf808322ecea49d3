"""An address or scheme is believed from named proxies, and from nobody else."""

import ipaddress

import pytest

from app.web.proxies import SCHEME, TrustedProxies

NETWORKS = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))


def seen(peer: str, **headers: str) -> tuple[str, str | None]:
    environ = {"REMOTE_ADDR": peer, **headers}
    TrustedProxies(lambda *_: [], NETWORKS)(environ, lambda *_: None)
    return environ["REMOTE_ADDR"], environ.get(SCHEME)


@pytest.mark.acceptance("F-6")
@pytest.mark.parametrize(
    ("peer", "chain", "client"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.2.3.4", "203.0.113.9"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),
        ("", "203.0.113.9", ""),
    ],
)
def test_the_client_is_the_last_address_that_no_named_proxy_has(peer, chain, client):
    assert seen(peer, HTTP_X_FORWARDED_FOR=chain)[0] == client


@pytest.mark.acceptance("F-6")
def test_the_scheme_is_taken_from_named_proxies_alone():
    assert seen("10.0.0.1", HTTP_X_FORWARDED_PROTO="HTTP")[1] == "http"
    assert seen("192.0.2.1", HTTP_X_FORWARDED_PROTO="http")[1] is None
