"""Growing waits after failed sign-ins, for each account and each network, kept in this worker's memory."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, cast

from flask import current_app

from app.protocol.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask import Flask

FREE_TRIES = 5
LONGEST_S = 15 * 60
FORGET_S = 24 * 3600
REMEMBERED = 20_000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0
    last: float = 0.0


class Throttle:
    """Counts failures by subject: after five, each next one doubles the wait, from one minute to fifteen."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._failures: Recent[str, _Failures] = Recent(REMEMBERED)
        self._known: Recent[str, None] = Recent(REMEMBERED)

    def subjects(self, email: str, address: str) -> tuple[str, str]:
        """Return what a try counts for: its account and its network.

        Someone who signed in to the account from this network before is counted apart, so that strangers who guess
        can't keep them out.
        """
        account, net = email.strip().lower(), network(address)
        pair = f"{account} from {net}"
        return (f"known {pair}" if pair in self._known else f"account {account}", f"network {net}")

    def wait_s(self, subjects: Iterable[str]) -> float:
        """Return how many seconds the next try has to wait; 0 when it may come at once."""
        now = self._clock()
        return max([0.0, *(f.until - now for s in subjects if (f := self._failures.get(s)))])

    def failed(self, subjects: Iterable[str]) -> None:
        """Count one failure for each subject."""
        now = self._clock()
        for subject in subjects:
            failures = self._failures.get(subject)
            if failures is None or now - failures.last > FORGET_S:
                failures = _Failures()
            failures.count += 1
            failures.last = now
            if failures.count >= FREE_TRIES:
                failures.until = now + min(60.0 * 2 ** min(failures.count - FREE_TRIES, 10), LONGEST_S)
            self._failures.keep(subject, failures)

    def succeeded(self, email: str, address: str) -> None:
        """Forget the failures of the account and the network, and know the pair from now on."""
        for subject in self.subjects(email, address):
            self._failures.pop(subject, None)
        self._known.keep(f"{email.strip().lower()} from {network(address)}", None)


def network(address: str) -> str:
    """Return the /24 of an IPv4 address or the /64 of an IPv6 address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 64), strict=False))


def init_app(app: Flask) -> None:
    """Give the application its throttle."""
    app.extensions["realms-throttle"] = Throttle()


def throttle() -> Throttle:
    """Return the throttle of the current application."""
    return cast("Throttle", current_app.extensions["realms-throttle"])
