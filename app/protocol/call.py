"""The values that travel down the relay's straight line; all frozen, none with behaviour that reaches outside."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import msgspec

from app.protocol.endpoints import Endpoint, ObjectKind
from app.protocol.envelope import Envelope
from app.protocol.limit import Rule
from app.protocol.policy import USUAL, Policy
from app.protocol.proxy import Proxy


class Caller(msgspec.Struct, frozen=True):
    """Who calls: the user behind a valid token. ``models`` is the token's allow-list (None: every model)."""

    user_id: int
    token_id: int
    owner_mark: str
    """Opaque and unguessable; stands in the metadata of stored chat completions."""
    models: tuple[str, ...] | None = None
    expires_at: float | None = None
    """In seconds since the epoch."""
    rules: tuple[Rule, ...] = ()
    """The limits of the user and of the token."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Where the token may be used from; empty for everywhere."""

    def may_come_from(self, address: str) -> bool:
        """Whether the token may be used from a client's address; one that can't be read is no good address."""
        if not self.networks:
            return True
        try:
            known = ip_address(address)
        except ValueError:
            return False
        known = (isinstance(known, IPv6Address) and known.ipv4_mapped) or known
        return any(known in network for network in self.networks)

    def may_use(self, model: str) -> bool:
        """Whether the token's allow-list has the model; an entry that ends in ``*`` stands for every beginning."""
        return self.models is None or any(
            model == entry or (entry.endswith("*") and model.startswith(entry[:-1])) for entry in self.models
        )


class Place(msgspec.Struct, frozen=True):
    """An upstream with one of its credentials: where a call can be sent. ``secret`` is empty where none is wanted."""

    upstream_id: int
    credential_id: int
    kind: str
    base_url: str
    secret: str
    policy: Policy = USUAL
    proxy: Proxy | None = None
    """What every call there leads through; the one that the policy names, with its login."""

    def __post_init__(self) -> None:
        if str(self.proxy or "") != self.policy.proxy.lower():
            raise ValueError("a place is called through its policy's proxy, or not at all")

    def __repr__(self) -> str:
        return f"Place(upstream {self.upstream_id}, credential {self.credential_id})"


class Target(msgspec.Struct, frozen=True):
    """A place chosen for one call, and the model's own name there (empty: as the caller said)."""

    place: Place
    model: str = ""
    without: frozenset[str] = frozenset()
    """Members that Realms must not add to a body there."""


REGISTRY_ONLY = object()
"""What `Owned` asks of its maker; `services.registry` is the one place that has it."""


class Owned:
    """A stored object that the caller was found to own, and where it lives.

    Never made anywhere but in ``registry.find``: an adapter builds the address of an object call from nothing else, so
    a call whose ownership wasn't checked has nowhere to go.
    """

    __slots__ = ("kind", "model", "object_id", "place")

    def __init__(self, key: object, *, kind: ObjectKind, object_id: str, place: Place, model: str) -> None:
        if key is not REGISTRY_ONLY:
            raise TypeError("only the registry says who owns what")
        self.kind = kind
        self.object_id = object_id
        self.place = place
        self.model = model


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request of one caller, read and checked in form."""

    id: str
    request_id: str
    endpoint: Endpoint
    caller: Caller
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    """Those of the caller's headers that may travel on."""
    offered: tuple[tuple[str, str], ...] = ()
    """Others, that only upstreams get whose policy allows them by name."""
    object_id: str = ""
    item_id: str = ""
    body: Envelope | None = None
    model: str = ""
    stream: bool = False
    stores: bool = False
    """Whether the object that the answer reveals is kept upstream, and so must be owned."""
    traceparent: str = ""
    """The trace that the client began; no upstream learns of it."""
    started: float = 0.0
    """On the monotonic clock, in seconds."""
    connection: Any = None
    """The client's socket where the server shows it, for noticing that the client left."""


class Reply(msgspec.Struct, frozen=True):
    """What the client gets: status, headers, and the body in pieces, each sent as it comes."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterable[bytes]
    length: int | None = None
    """In bytes; None for a stream."""
