"""All that the vault holds: whether its keys open it, and sealing it anew, so that an old key can be taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.extensions import db
from app.models import CodexAccount, Credential, SecondFactor, Upstream, User
from app.services.changes import change
from app.services.context import context
from app.services.vault import VaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

Secret = tuple[str, list[tuple[object, str]]]
"""Its name, and the columns of rows that hold it."""


def reseal(*, actor: User | None) -> tuple[int, list[str]]:
    """Seal every credential, proxy's login and second factor with the first vault key.

    Return how many, and the names of those that no key opens.
    """
    broken = []
    with change("keys.rotate", "credentials", actor=actor) as told:
        secrets = list(_all())
        for name, holders in secrets:
            try:
                for row, column in holders:
                    setattr(row, column, context().vault.rotate(getattr(row, column)))
            except VaultError:
                broken.append(name)
        told.after = {"sealed": len(secrets) - len(broken), "broken": broken}
    return len(secrets) - len(broken), broken


def unopened() -> tuple[int, list[str]]:
    """Return how many secrets there are, and the names of those that no vault key opens."""
    vault, secrets = context().vault, list(_all())
    return len(secrets), [
        name for name, holders in secrets if not all(vault.opens(getattr(row, column)) for row, column in holders)
    ]


def _all() -> Iterator[Secret]:
    yield from _of_upstreams()
    yield from _of_proxies()
    yield from _of_people()


def _of_upstreams() -> Iterator[Secret]:
    accounts = {row.credential_id: row for row in db.session.scalars(select(CodexAccount))}
    for credential in db.session.scalars(select(Credential).options(selectinload(Credential.upstream))):
        account = accounts.get(credential.id)
        holders: list[tuple[object, str]] = [(credential, "sealed")]
        yield f"{credential.upstream.name}/{credential.name}", holders + ([(account, "refresh")] if account else [])


def _of_proxies() -> Iterator[Secret]:
    for upstream in db.session.scalars(select(Upstream).where(Upstream.proxy_login.is_not(None))):
        yield f"{upstream.name}/proxy", [(upstream, "proxy_login")]


def _of_people() -> Iterator[Secret]:
    factors = select(SecondFactor, User.email).join(User, User.id == SecondFactor.user_id)
    for factor, email in db.session.execute(factors):
        yield f"second factor of {email}", [(factor, "sealed")]
