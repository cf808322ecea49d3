"""Believes what proxies say of a request's origin, but only the proxies that the operator named."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from app.settings import Network

SCHEME = "realms.forwarded_scheme"
"""Where the scheme that a trusted proxy saw stands in the environ."""


class TrustedProxies:
    """WSGI middleware: puts the client's own address in place of a trusted proxy's."""

    def __init__(self, app: WSGIApplication, networks: tuple[Network, ...]) -> None:
        self._app = app
        self._networks = networks

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._trusts(environ.get("REMOTE_ADDR", "")):
            self._believe(environ)
        return self._app(environ, start_response)

    def _believe(self, environ: dict[str, Any]) -> None:
        """Take the last address in the chain that isn't a trusted proxy's: what stands before it anyone can write."""
        for address in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
            if not _is_address(address.strip()):
                break
            environ["REMOTE_ADDR"] = address.strip()
            if not self._trusts(address.strip()):
                break
        if scheme := environ.get("HTTP_X_FORWARDED_PROTO"):
            environ[SCHEME] = scheme.strip().lower()

    def _trusts(self, address: str) -> bool:
        return _is_address(address) and any(ipaddress.ip_address(address) in network for network in self._networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
