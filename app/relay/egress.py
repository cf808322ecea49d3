"""The way out: one guarded session, and the check of every address at the moment it is dialled.

The address that is checked is the address that is connected to, so neither DNS rebinding nor a parser's disagreement
can lead elsewhere. Private and special addresses are refused unless the operator allows them by network; addresses
that clouds answer metadata on are refused always. Where a call leads through a proxy it is the proxy that is dialled,
and allowed by its host and port; if it gives no way there is none, and above all no direct one.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import ECONNREFUSED
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path

import certifi
import gevent
import msgspec
import requests

from app.protocol.proxy import Proxy
from app.relay.answer import Answer, BrokenAnswerError
from app.relay.dial import open_wire, secured
from app.relay.home import IP, Home
from app.relay.names import Names
from app.relay.transport import Origin, RelayAdapter
from app.relay.tunnel import TunnelError, open_tunnel
from app.relay.wire import Wire, WireError
from app.settings import Settings

LATE = "nobody answered in time"
METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_ALSO_SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "::/96", "64:ff9b:1::/48", "3fff::/20", "5f00::/16")))
"""Not public by IANA's registries, although Python's ``is_global`` takes them for it."""


class EgressError(Exception):
    """A call that never got an answer; ``phase`` says how far it came."""

    def __init__(self, phase: str, message: str) -> None:
        super().__init__(message)
        self.phase = phase


class Fetched(msgspec.Struct, frozen=True):
    """A whole answer to a call of our own."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Egress:
    """Dials upstreams and nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = settings.egress_allow
        self._home = Home(settings)
        self._connect_s = settings.connect_s
        self._names = Names()
        self._tls = _trust(settings.ca_file)
        self.adapter = RelayAdapter(self.dial)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.session.mount("http://", self.adapter)
        self.session.mount("https://", self.adapter)

    def start(self) -> None:
        """Begin to let go of connections that nobody uses again, in this worker's hub."""
        gevent.spawn(self.adapter.sweep_for_ever)

    def dial(self, origin: Origin, within_s: float | None = None) -> Wire:
        """Return a fresh wire to an origin, through its proxy where it has one. Raises ``EgressError``."""
        within_s = within_s or self._connect_s
        proxy, late = origin.proxy, gevent.Timeout(within_s)
        try:
            with late:
                return self._reach(origin, within_s) if proxy is None else self._pass(origin, proxy, within_s)
        except gevent.Timeout as timeout:
            if timeout is not late:
                raise
            if proxy is not None:
                raise EgressError("proxy_timeout", f"the proxy {proxy} gave no way to it in time") from None
            raise EgressError("connect", LATE) from None

    def look_up(self, origin: Origin) -> list[IP]:
        """Return where a call would dial: an origin's own addresses, or its proxy's. Raises ``EgressError``."""
        if origin.proxy is None:
            return self._addresses(origin)
        self._refuse_home(origin)
        return self._addresses(_first(origin.proxy), named=True)

    def fetch(
        self,
        method: str,
        url: str,
        *,
        proxy: Proxy | None,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout_s: float = 10.0,
        limit: int = 4 * 1024 * 1024,
    ) -> Fetched:
        """Return the whole answer to a call of the control plane. Raises ``EgressError``.

        Every caller says which proxy the call leads through: an upstream's own, or none for what is no upstream.
        """
        try:
            with gevent.Timeout(timeout_s, EgressError("answer", "no answer in time")):
                wanted = requests.Request(method, url, headers=dict(headers), data=body)
                request = self.session.prepare_request(wanted)
                request.proxy = proxy  # type: ignore[attr-defined]  # what the adapter looks for
                return _whole(self.session.send(request, stream=True, allow_redirects=False), limit)
        except (WireError, BrokenAnswerError) as error:
            raise EgressError("answer", str(error)) from error
        except (ValueError, requests.RequestException) as error:
            raise EgressError("address", str(error)) from error

    def _reach(self, origin: Origin, within_s: float, *, named: bool = False) -> Wire:
        """Return a wire to an origin; ``named``: an administrator allowed this very host and port."""
        addresses, until = self._addresses(origin, named=named), time.monotonic() + within_s
        failed: EgressError | None = None
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:  # an address that nobody answers at leaves time for the next
                with gevent.Timeout((until - time.monotonic()) / left, EgressError("connect", LATE)):
                    return self._open(origin, address)
            except EgressError as error:
                failed = error
        raise failed or EgressError("dns", "the name has no address")

    def _pass(self, origin: Origin, proxy: Proxy, within_s: float) -> Wire:
        """Return a wire to an origin that leads through a proxy, and never one that doesn't."""
        self._refuse_home(origin)
        try:
            wire = self._reach(_first(proxy), within_s, named=True)
        except EgressError as error:
            raise EgressError("proxy_unreachable", f"the proxy {proxy} can't be reached: {error}") from error
        try:
            open_tunnel(wire, proxy, host=origin.host, port=origin.port)
        except BaseException as error:
            wire.close()
            if isinstance(error, TunnelError):
                raise EgressError(error.reason, f"the proxy {proxy} {error}") from error
            if isinstance(error, WireError):
                raise EgressError("proxy_failed", f"the proxy {proxy} hung up: {error}") from error
            raise
        if origin.scheme != "https":
            return wire
        with _told():
            return secured(wire, context=self._tls, host=origin.host)

    def _open(self, origin: Origin, address: IP) -> Wire:
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        context = self._tls if origin.scheme == "https" else None
        with _told():
            return open_wire(family, (str(address), origin.port), context=context, host=origin.host)

    def _addresses(self, origin: Origin, *, named: bool = False) -> list[IP]:
        """Return the addresses that may be dialled. Raises ``EgressError`` when one of them may not."""
        self._refuse_home(origin)
        addresses = self._resolve(origin.host, origin.port)
        for address in addresses:
            if self._home.is_at(_unwrapped(address), origin.port):
                raise EgressError("address", "this is Realms' own address")
            if _unwrapped(address) in METADATA or not (named or self._permits(address)):
                raise EgressError(
                    "address", f"{address} is private or special; allow its network with REALMS_EGRESS_ALLOW"
                )
        return addresses

    def _refuse_home(self, origin: Origin) -> None:
        """Raise ``EgressError`` for what leads nowhere that a provider is, by its name or address alone."""
        if objection := self._home.objection(origin.host, origin.port):
            raise EgressError("address", objection)
        with suppress(ValueError):
            if _unwrapped(ipaddress.ip_address(origin.host)) in METADATA:
                raise EgressError("address", "this is an address that clouds answer metadata on")

    def _permits(self, address: IP) -> bool:
        plain = _unwrapped(address)
        public = plain.is_global and not plain.is_multicast and not any(plain in net for net in _ALSO_SPECIAL)
        return public or any(plain in net for net in self._allowed)

    def _resolve(self, host: str, port: int) -> list[IP]:
        try:
            return [ipaddress.ip_address(host)]
        except ValueError:
            pass
        try:
            return self._names.addresses(host, port)
        except (OSError, UnicodeError) as error:
            raise EgressError("dns", f"the name can't be resolved: {error}") from error


def _first(proxy: Proxy) -> Origin:
    """Return where a call that leads through a proxy is dialled."""
    return Origin("https" if proxy.under_tls else "http", proxy.host, proxy.port)


@cache
def _trust(ca_file: Path | None) -> ssl.SSLContext:
    """Return what says whose certificates are believed; it is read once, because that takes long."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a connection fails with into an ``EgressError``."""
    try:
        yield
    except ssl.SSLError as error:
        raise EgressError("tls", f"no trust in its certificate: {error.reason or error}") from error
    except OSError as error:
        phase = "refused" if error.errno == ECONNREFUSED else "connect"
        raise EgressError(phase, str(error)) from error


def _unwrapped(address: IP) -> IP:
    """Return the IPv4 address that an IPv6 one carries inside (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _whole(response: requests.Response, limit: int) -> Fetched:
    answer = response.raw
    assert isinstance(answer, Answer)  # noqa: S101 - the session has no other adapter
    pieces, size = [], 0
    try:
        while piece := answer.read1():
            size += len(piece)
            if size > limit:
                raise BrokenAnswerError("the answer is too large")
            pieces.append(piece)
    finally:
        answer.close()
    return Fetched(response.status_code, dict(answer.headers), b"".join(pieces))
