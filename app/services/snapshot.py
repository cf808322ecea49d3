"""The immutable picture of the configuration that every request is served from, and how it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection, Row, Select, select

from app.models import Credential, Model, Route, Token, Upstream, User
from app.models.base import utcnow
from app.protocol.call import Caller, Place
from app.protocol.endpoints import Endpoint
from app.protocol.limit import Rule
from app.protocol.policy import USUAL, Policy
from app.protocol.price import Price
from app.protocol.proxy import Proxy
from app.services import allowances, pricing
from app.services.keys import mark
from app.services.proxies import NoWayError, way_to
from app.services.vault import Vault, VaultError
from app.upstreams import UPSTREAMS

CHUNK = 500
log = structlog.get_logger()


class UpstreamEntry(msgspec.Struct, frozen=True):
    """An upstream as requests see it.

    ``places`` are its credentials that can be used, by id; ``resting`` the ids of those that can't for now.
    """

    id: int
    kind: str
    enabled: bool
    priority: int
    places: dict[int, Place]
    resting: frozenset[int] = frozenset()
    weight: int = 1
    policy: Policy = USUAL

    def offers(self, endpoint: Endpoint) -> bool:
        """Whether this upstream has an endpoint, as its kind and its policy say."""
        return UPSTREAMS[self.kind].serves(endpoint) and self.policy.offers(endpoint.name)


class RouteEntry(msgspec.Struct, frozen=True):
    """A route of a model; ``upstream_model`` is empty where the name asked for is used."""

    upstream: UpstreamEntry
    upstream_model: str
    priority: int
    weight: int = 1
    enabled: bool = True


class ModelEntry(msgspec.Struct, frozen=True):
    """An enabled model with its routes, best first, its prices, newest first, and everybody's limits on it.

    ``created`` in seconds since the epoch.
    """

    name: str
    owned_by: str
    created: int
    routes: tuple[RouteEntry, ...]
    prices: tuple[Price, ...] = ()
    rules: tuple[Rule, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """One generation of the configuration."""

    generation: int
    upstreams: dict[int, UpstreamEntry]
    models: dict[str, ModelEntry]
    patterns: tuple[tuple[str, ModelEntry], ...]
    """Beginnings of names, the longest first."""
    callers: dict[str, Caller]
    """Valid tokens met so far, by digest; those met later are added."""
    offered: frozenset[str] = frozenset()
    """Headers of callers that some upstream is let see beside those that always pass."""
    disabled: dict[str, tuple[Price, ...]] = {}
    """What disabled models cost, newest first: calls may have been made before."""

    def model(self, name: str) -> ModelEntry | None:
        """Return the entry that serves a name: its own, else the longest pattern's."""
        entry = self.models.get(name)
        if entry is not None:
            return entry
        return next((entry for prefix, entry in self.patterns if name.startswith(prefix)), None)

    def usable(self, endpoint: Endpoint) -> list[int]:
        """Return the credentials that an endpoint can be called with now."""
        return [
            key for each in self.upstreams.values() if each.enabled and each.offers(endpoint) for key in each.places
        ]

    def prices(self, name: str) -> tuple[Price, ...]:
        """Return the prices of a name, newest first: of what serves it, else of what did before it was disabled."""
        entry = self.model(name)
        return entry.prices if entry is not None else pricing.named(self.disabled, name) or ()


EMPTY = Snapshot(-1, {}, {}, (), {})


def load(connection: Connection, generation: int, *, vault: Vault, mark_key: str, digests: Iterable[str]) -> Snapshot:
    """Read the whole configuration, and of the tokens those that were met before."""
    upstreams = _upstreams(connection, vault)
    prices = pricing.by_model(connection)
    entries = _models(connection, upstreams, prices)
    patterns = sorted(((n[:-1], e) for n, e in entries.items() if n.endswith("*")), key=lambda p: -len(p[0]))
    return Snapshot(
        generation=generation,
        upstreams=upstreams,
        models={name: entry for name, entry in entries.items() if not name.endswith("*")},
        patterns=tuple(patterns),
        callers=dict(callers(connection, digests, mark_key=mark_key)),
        offered=frozenset(name.lower() for each in upstreams.values() for name in each.policy.allow_headers),
        disabled={row.name: prices[row.id] for row in _disabled(connection) if row.id in prices},
    )


def callers(connection: Connection, digests: Iterable[str], *, mark_key: str) -> Iterator[tuple[str, Caller]]:
    """Yield the callers of those digests that belong to a valid token."""
    wanted = list(digests)
    for start in range(0, len(wanted), CHUNK):
        rows = connection.execute(_valid_tokens().where(Token.digest.in_(wanted[start : start + CHUNK]))).all()
        of_users = allowances.rules(connection, "user", {row.user_id for row in rows})
        of_tokens = allowances.rules(connection, "token", {row.id for row in rows})
        for row in rows:
            rules = of_tokens.get(row.id, ()) + of_users.get(row.user_id, ())
            yield row.digest, _caller(row, mark_key, rules)


def _valid_tokens() -> Select[Any]:
    return (
        select(Token.id, Token.user_id, Token.digest, Token.models, Token.expires_at, Token.networks)
        .join(User, User.id == Token.user_id)
        .where(Token.revoked_at.is_(None), User.disabled_at.is_(None))
        .where(Token.expires_at.is_(None) | (Token.expires_at > utcnow()))
    )


def _caller(row: Row[Any], mark_key: str, rules: tuple[Rule, ...]) -> Caller:
    return Caller(
        user_id=row.user_id,
        token_id=row.id,
        owner_mark=mark(mark_key, "owner", str(row.user_id)),
        models=None if row.models is None else tuple(row.models),
        expires_at=row.expires_at.timestamp() if row.expires_at else None,
        rules=rules,
        networks=tuple(ip_network(each) for each in row.networks or ()),
    )


def _upstreams(connection: Connection, vault: Vault) -> dict[int, UpstreamEntry]:
    upstreams = {row.id: row for row in connection.execute(select(Upstream.__table__))}
    ways = {row.id: _way(row, vault) for row in upstreams.values()}
    places: dict[int, dict[int, Place | None]] = {number: {} for number in upstreams}
    for row in connection.execute(select(Credential.__table__).order_by(Credential.id)):
        upstream = upstreams.get(row.upstream_id)
        if upstream is not None:
            way = ways[upstream.id]
            places[upstream.id][row.id] = _place(row, upstream, vault, *way) if row.enabled and way else None
    return {
        row.id: UpstreamEntry(
            row.id,
            row.kind,
            row.enabled and ways[row.id] is not None,
            row.priority,
            places={n: place for n, place in places[row.id].items() if place is not None},
            resting=frozenset(n for n, place in places[row.id].items() if place is None),
            weight=row.weight,
            policy=(ways[row.id] or (USUAL,))[0],
        )
        for row in upstreams.values()
    }


def _way(row: Row[Any], vault: Vault) -> tuple[Policy, Proxy | None] | None:
    """Return how an upstream is called, None where that can't be known: it is not called at all then."""
    try:
        return way_to(row, vault)
    except NoWayError as error:
        log.error("policy_unusable", upstream=row.id, error=str(error))
        return None


def _place(row: Row[Any], upstream: Row[Any], vault: Vault, policy: Policy, proxy: Proxy | None) -> Place | None:
    """Return a credential with its secret, or None where the vault won't give that away."""
    try:
        secret = vault.open(row.sealed, origin=upstream.base_url)
    except VaultError as error:
        log.error("credential_unusable", credential=row.id, upstream=upstream.id, error=str(error))
        return None
    return Place(upstream.id, row.id, upstream.kind, upstream.base_url, secret, policy, proxy)


def _disabled(connection: Connection) -> Iterable[Row[Any]]:
    return connection.execute(select(Model.id, Model.name).where(~Model.enabled))


def _models(
    connection: Connection, upstreams: dict[int, UpstreamEntry], prices: dict[int, tuple[Price, ...]]
) -> dict[str, ModelEntry]:
    routes: dict[int, list[RouteEntry]] = {}
    for row in connection.execute(select(Route.__table__).order_by(Route.id)):
        upstream = upstreams.get(row.upstream_id)
        if upstream is not None:
            priority = upstream.priority if row.priority is None else row.priority
            weight = upstream.weight if row.weight is None else row.weight
            entry = RouteEntry(upstream, row.upstream_model or "", priority, weight, row.enabled)
            routes.setdefault(row.model_id, []).append(entry)
    limited = allowances.rules(connection, "model", None)
    return {
        row.name: ModelEntry(
            row.name,
            row.owned_by,
            int(row.created_at.timestamp()),
            tuple(sorted(routes.get(row.id, ()), key=lambda route: -route.priority)),
            prices.get(row.id, ()),
            tuple(msgspec.structs.replace(rule, model=row.name) for rule in limited.get(row.id, ())),
        )
        for row in connection.execute(select(Model.__table__).where(Model.enabled).order_by(Model.name))
    }
