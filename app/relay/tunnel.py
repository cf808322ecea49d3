"""Asks a proxy for a way to an upstream, over a fresh wire to that proxy: HTTP's CONNECT, or SOCKS5.

Both dialogues are short, have a limit, and take nothing that isn't exactly as it must be: what follows on the wire is
the upstream's own, under TLS as a rule, and not one byte of it may be taken for the proxy's or the other way round.
"""

from __future__ import annotations

import base64
import ipaddress
import re

from app.protocol.proxy import Proxy
from app.relay.wire import Wire

HEAD_MAX = 8 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_NO_LOGIN, _LOGIN, _NO_METHOD = 0, 2, 255
_BY_NAME = 3
_LENGTHS = {1: 4, 4: 16}
"""Bytes of an address in a SOCKS answer, by its type."""
_REFUSALS = {
    1: "failed",
    2: "does not allow this upstream",
    3: "finds no network of the upstream's",
    4: "can't reach the upstream",
    5: "was refused by the upstream",
    6: "gave up on the upstream",
    7: "can't connect",
    8: "does not know this kind of address",
}


class TunnelError(Exception):
    """The proxy gives no way; ``reason`` is for records, the text goes on after the proxy's name."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def open_tunnel(wire: Wire, proxy: Proxy, *, host: str, port: int) -> None:
    """Let a wire to a proxy lead to an upstream from now on. Raises ``TunnelError`` or ``WireError``."""
    if proxy.speaks_socks:
        _greet(wire, proxy.login)
        _ask(wire, host, port)
    else:
        _connect(wire, proxy.login, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


def _connect(wire: Wire, login: str, authority: str) -> None:
    lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}"]
    if login:
        lines.append(f"proxy-authorization: Basic {base64.b64encode(login.encode()).decode()}")
    wire.write("\r\n".join((*lines, "", "")).encode("latin-1"))
    head = _head(wire)
    status = _STATUS.match(head)
    if status is None:
        raise _failed("does not speak HTTP")
    code = int(status[1])
    if code == 407:
        raise TunnelError("proxy_login", "wants another user and password (407)" if login else "wants a login (407)")
    if not 200 <= code < 300:
        raise _failed(f"answered {code}")
    if head.index(b"\r\n\r\n") + 4 != len(head):
        raise _failed("says more than it was asked")


def _head(wire: Wire) -> bytes:
    """Return an answer's head, and what came with it: after one that opens the way nothing may."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += _some(wire, HEAD_MAX + 1 - len(head))
        if len(head) > HEAD_MAX:
            raise _failed("answers without end")
    return head


def _greet(wire: Wire, login: str) -> None:
    """Agree on who we are."""
    methods = bytes((_NO_LOGIN, _LOGIN)) if login else bytes((_NO_LOGIN,))
    wire.write(bytes((5, len(methods))) + methods)
    version, method = _exactly(wire, 2)
    if version != 5:
        raise _failed("does not speak SOCKS5")
    if method == _NO_METHOD or (method == _LOGIN and not login):
        raise TunnelError("proxy_login", "wants another login" if login else "wants a login")
    if method not in methods:
        raise _failed("wants to know who we are in a way that was not offered")
    if method == _LOGIN:
        user, _, password = login.encode().partition(b":")
        wire.write(b"".join((b"\x01", bytes((len(user),)), user, bytes((len(password),)), password)))
        if _exactly(wire, 2)[1] != 0:
            raise TunnelError("proxy_login", "wants another user and password")


def _ask(wire: Wire, host: str, port: int) -> None:
    wire.write(bytes((5, 1, 0)) + _named(host) + port.to_bytes(2))
    version, refusal, _, kind = _exactly(wire, 4)
    if version != 5:
        raise _failed("does not speak SOCKS5")
    if refusal:
        raise _failed(_REFUSALS.get(refusal, f"answered {refusal}"))
    if kind not in {*_LENGTHS, _BY_NAME}:
        raise _failed("does not speak SOCKS5")
    _exactly(wire, (_LENGTHS.get(kind) or _exactly(wire, 1)[0]) + 2)


def _named(host: str) -> bytes:
    """Return a host as SOCKS names it; a name stays one, so that the proxy looks it up."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("latin-1", "replace")
        if len(name) > 255:
            raise _failed("can't be told so long a name") from None
        return bytes((_BY_NAME, len(name))) + name
    return bytes((1 if address.version == 4 else 4,)) + address.packed


def _exactly(wire: Wire, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += _some(wire, size - len(data))
    return data


def _some(wire: Wire, size: int) -> bytes:
    data = wire.read(size)
    if not data:
        raise _failed("hung up")
    return data


def _failed(message: str) -> TunnelError:
    return TunnelError("proxy_failed", message)
