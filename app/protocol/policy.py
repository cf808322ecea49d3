"""What an operator wants otherwise at one upstream: which endpoints it offers, and how requests to it are changed."""

from __future__ import annotations

import re
from math import inf
from typing import Any, Literal

import msgspec

from app.protocol import proxy as proxies
from app.protocol.endpoints import BY_NAME
from app.protocol.headers import may_be_let_through as lets_through
from app.protocol.proxy import Proxy

Auth = Literal["", "bearer", "x-api-key", "api-key", "none"]
PATH_DEPTH_MAX = 5
TAKEN_MEMBERS = frozenset({"model", "stream", "store"})
"""Members of a body that decide where a call goes and what comes back; a route and ``store`` see to them."""
TAKEN_HEADERS = frozenset({
    "host", "connection", "content-length", "content-type", "transfer-encoding", "accept-encoding", "authorization",
    "x-api-key", "api-key", "cookie", "te", "upgrade", "trailer", "expect", "proxy-authorization",
})  # fmt: skip
"""Headers that are the transport's or the credential's own."""
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_QUERY = re.compile(r"[A-Za-z0-9._~%=&+-]{0,200}")


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The wishes; each left alone means: as usual for the kind.

    ``set`` and ``drop`` name members of a body by a path with dots. Times in seconds.
    """

    preset: str = ""
    endpoints: tuple[str, ...] | None = None
    auth: Auth = ""
    query: str = ""
    proxy: str = ""
    """The address of the proxy that all calls there lead through; what it is logged in to with is kept elsewhere."""
    store: bool = True
    """Whether it keeps objects. Otherwise nothing is stored there, whatever the caller asks for."""
    metadata: bool = True
    """Whether the owner's mark may be put into the metadata of what is stored."""
    stream_options: bool = True
    """Whether a stream's usage may be asked for."""
    connect_s: float | None = None
    first_byte_s: float | None = None
    idle_s: float | None = None
    total_s: float | None = None
    """How long an attempt there may take from its beginning to its end; in the place of what a whole call may take."""
    max_concurrent: int | None = None
    service_tiers: tuple[str, ...] | None = None
    effort_suffix: bool = False
    """Whether a model's name may end in ``-low``, ``-medium``, ``-high``, … for the effort of its reasoning."""
    allow_headers: tuple[str, ...] = ()
    """Headers of callers that are let through beside those that always are."""
    instructions: str = ""
    """What an upstream that wants some is told where the caller gives none."""
    set_headers: dict[str, str] = msgspec.field(default_factory=dict)
    drop: tuple[str, ...] = ()
    set: dict[str, Any] = msgspec.field(default_factory=dict)

    def offers(self, endpoint: str) -> bool:
        """Whether an endpoint of the kind is offered."""
        return self.endpoints is None or endpoint in self.endpoints


USUAL = Policy()
_decoder = msgspec.json.Decoder(Policy)


def read(text: str | bytes) -> Policy:
    """Return the policy that a JSON text says. Raises ``ValueError`` with a sentence on what is wrong with it."""
    try:
        policy = _decoder.decode(text or b"{}")
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ValueError(str(error)) from None
    for problem in _problems(policy):
        raise ValueError(problem)
    return policy


def _problems(policy: Policy) -> list[str]:
    """Return what can't be meant."""
    found = [f"endpoints: there is no {name}" for name in policy.endpoints or () if name not in BY_NAME]
    found += [f"{name}: must be above 0" for name in LIMITS if not _is_limit(getattr(policy, name))]
    if not _QUERY.fullmatch(policy.query):
        found.append("query: must be like api-version=preview, without a question mark")
    if policy.proxy:
        found += _problems_of_proxy(policy.proxy)
    found += [
        f"allow_headers: {name[:100]} can't be let through" for name in policy.allow_headers if not lets_through(name)
    ]
    for name, value in policy.set_headers.items():
        if not _TOKEN.fullmatch(name) or name.lower() in TAKEN_HEADERS or name.lower().startswith("x-forwarded-"):
            found.append(f"set_headers: {name[:100]} can't be set")
        elif not value.isascii() or not value.isprintable() or len(value) > 2000:
            found.append(f"set_headers: the value of {name} must be printable ASCII")
    for member, paths in (("drop", policy.drop), ("set", tuple(policy.set))):
        found += [f"{member}: {path[:100]!r} can't be changed" for path in paths if not _is_changeable(path)]
    return found


def _problems_of_proxy(text: str) -> list[str]:
    try:
        proxies.read(text)
    except ValueError as error:
        return [f"proxy: {error}"]
    return []


TIMES = ("connect_s", "first_byte_s", "idle_s", "total_s")
LIMITS = (*TIMES, "max_concurrent")


def _is_limit(value: float | None) -> bool:
    return value is None or 0 < value < inf


def _is_changeable(path: str) -> bool:
    parts = path.split(".")
    return all(parts) and len(parts) <= PATH_DEPTH_MAX and parts[0] not in TAKEN_MEMBERS and path.isprintable()


def proxy_of(policy: Policy, login: str = "") -> Proxy | None:
    """Return what all calls under a policy lead through. Raises ``ValueError`` for what is no proxy."""
    return msgspec.structs.replace(proxies.read(policy.proxy), login=login) if policy.proxy else None
