"""The rows of a renewal: who may ask for new tokens, and what came of it. One at a time over all workers and hosts.

A refresh token is spent by being used, so two who use one lose the account. Each step names the ``turn`` that it read
and raises it: of two who try the same step one changes a row and the other none. That a renewal was begun is committed
before it is asked for, so that a later one knows when the answer was lost with the process that waited for it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from app.models import AuditEntry, CodexAccount, Credential, Meta, Upstream
from app.models.base import utcnow
from app.models.meta import GENERATION
from app.protocol.proxy import Proxy
from app.services.proxies import proxy_to
from app.services.vault import Vault
from app.upstreams.codex_account import Pass, Tokens

LEASE_S = 15.0
"""How long one may take to ask and to keep the answer: longer than a request may last, shorter than a call waits."""
TRIES_MAX = 3
TRIES_S = 60.0
BACK_OFF_S = (2.0, 5.0, 30.0, 60.0, 300.0)


class State(StrEnum):
    """How an account stands."""

    CONNECTED = "connected"
    REFUSED = "refused"
    """The provider took the connection back: somebody has to sign in again."""
    LOST = "lost"
    """Its last tokens were lost on the way: somebody has to sign in again."""


class Leased(msgspec.Struct, frozen=True):
    """A renewal that only we may make. ``doubtful``: an earlier one may have spent the token already."""

    credential_id: int
    upstream_id: int
    turn: int
    base_url: str
    proxy: Proxy | None
    before: Tokens
    doubtful: bool


class Held(msgspec.Struct, frozen=True):
    """Why there is no lease to be had: ``again_s`` is when to look again, None: not soon, or never."""

    again_s: float | None = None


def lease(
    connection: Connection, credential_id: int, *, refused: str | None, now: float, vault: Vault, token_url: str
) -> Leased | Held:
    """Return the right to renew an account once: because a secret was ``refused``, or (None) because it is time.

    Never for a secret that another has renewed since. Raises ``VaultError`` when one can't be opened.
    """
    wanted = (
        select(CodexAccount.__table__, Upstream.base_url, Upstream.policy, Upstream.proxy_login, Credential.sealed)
        .join(Upstream, Upstream.id == CodexAccount.upstream_id)
        .join(Credential, Credential.id == CodexAccount.credential_id)
    )
    row = connection.execute(wanted.where(CodexAccount.credential_id == credential_id)).first()
    if row is None or row.state != State.CONNECTED or row.retry_at > now:
        return Held()
    if row.leased_until > now:
        return Held(0.05)
    if refused is None and row.renew_at > now:
        return Held()
    if refused is not None and vault.open(row.sealed, origin=row.base_url) != refused:
        return Held(0.05)
    tries = [at for at in row.tries if now - TRIES_S < at <= now]
    if len(tries) >= TRIES_MAX:
        return Held()
    refresh_token = vault.open(row.refresh, origin=token_url)
    proxy = proxy_to(row, vault)
    begun = {"leased_until": now + LEASE_S, "asked": True, "tries": [*tries, now]}
    if not _step(connection, row.credential_id, row.turn, begun):
        return Held(0.05)
    return Leased(
        row.credential_id,
        row.upstream_id,
        row.turn + 1,
        row.base_url,
        proxy,
        before=Tokens("", refresh_token, row.account_id, 0.0, row.ends_at, row.email, row.plan),
        doubtful=row.asked,
    )


def keep(connection: Connection, leased: Leased, tokens: Tokens, *, vault: Vault, token_url: str) -> bool:
    """Keep new tokens; False when a person has signed in again meanwhile, whose tokens stand."""
    values = token_values(tokens, vault=vault, token_url=token_url)
    _tell_workers(connection)  # first: its row is what changes of configuration wait for, too
    if not _step(connection, leased.credential_id, leased.turn, values):
        return False
    sealed = vault.seal(str(Pass(tokens.account_id, tokens.access_token)), origin=leased.base_url)
    connection.execute(update(Credential).where(Credential.id == leased.credential_id).values(sealed=sealed))
    return True


def token_values(tokens: Tokens, *, vault: Vault, token_url: str) -> dict[str, Any]:
    """Return the columns of an account that has just got tokens."""
    return {
        "email": tokens.email,
        "plan": tokens.plan,
        "refresh": vault.seal(tokens.refresh_token, origin=token_url),
        "state": State.CONNECTED.value,
        "ends_at": tokens.ends,
        "renew_at": tokens.renew_at,
        "leased_until": 0.0,
        "asked": False,
        "failures": 0,
        "retry_at": 0.0,
    }


def put_off(connection: Connection, leased: Leased, *, now: float, asked: bool) -> None:
    """Take note that a renewal failed for now; ``asked``: the token may have been spent all the same."""
    wanted = select(CodexAccount.failures).where(CodexAccount.credential_id == leased.credential_id)
    failures = connection.scalar(wanted) or 0
    wait = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
    values = {"leased_until": 0.0, "asked": asked, "failures": failures + 1, "retry_at": now + wait}
    _step(connection, leased.credential_id, leased.turn, values)


def end(connection: Connection, leased: Leased, state: State) -> bool:
    """Disable an account that only a person can connect again; False when one has done so meanwhile."""
    _tell_workers(connection)
    if not _step(connection, leased.credential_id, leased.turn, {"leased_until": 0.0, "state": state.value}):
        return False
    connection.execute(update(Credential).where(Credential.id == leased.credential_id).values(enabled=False))
    entry = {"action": "codex.reconnect", "target": f"credential {leased.credential_id}", "after": {"state": state}}
    connection.execute(insert(AuditEntry).values(at=utcnow(), actor_id=None, **entry))
    return True


def due(connection: Connection, now: float) -> list[int]:
    """Return the credentials whose tokens are to be renewed by now, ahead of their end."""
    wanted = select(CodexAccount.credential_id).where(
        CodexAccount.state == State.CONNECTED.value,
        CodexAccount.renew_at <= now,
        CodexAccount.retry_at <= now,
        CodexAccount.leased_until <= now,
    )
    return list(connection.scalars(wanted))


def quotas(connection: Connection) -> list[Row[Any]]:
    """Return what is kept of all accounts' allowances."""
    return list(connection.execute(select(CodexAccount.credential_id, CodexAccount.quota, CodexAccount.quota_at)))


def keep_quota(connection: Connection, credential_id: int, quota: Any, at: float) -> None:
    """Keep what an account told of its allowance, unless something newer is kept."""
    mine = update(CodexAccount).where(CodexAccount.credential_id == credential_id, CodexAccount.quota_at < at)
    connection.execute(mine.values(quota=quota, quota_at=at))


def _step(connection: Connection, credential_id: int, turn: int, values: dict[str, Any]) -> bool:
    mine = update(CodexAccount).where(CodexAccount.credential_id == credential_id, CodexAccount.turn == turn)
    return connection.execute(mine.values(turn=turn + 1, **values)).rowcount == 1


def _tell_workers(connection: Connection) -> None:
    connection.execute(update(Meta).where(Meta.name == GENERATION).values(value=Meta.value + 1))
