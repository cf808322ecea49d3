"""Seals everything that calls are made with anew, so that an old vault key can be taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.extensions import db
from app.models import CodexAccount, Credential
from app.services.changes import change
from app.services.context import context
from app.services.vault import VaultError

if TYPE_CHECKING:
    from app.models import User


def reseal(*, actor: User | None) -> tuple[int, list[str]]:
    """Seal every credential with the first vault key; return how many, and the names of those that no key opens."""
    broken = []
    with change("keys.rotate", "credentials", actor=actor) as told:
        credentials = list(db.session.scalars(select(Credential).options(selectinload(Credential.upstream))))
        accounts = {row.credential_id: row for row in db.session.scalars(select(CodexAccount))}
        for credential in credentials:
            try:
                credential.sealed = context().vault.rotate(credential.sealed)
                if account := accounts.get(credential.id):
                    account.refresh = context().vault.rotate(account.refresh)
            except VaultError:
                broken.append(f"{credential.upstream.name}/{credential.name}")
        told.after = {"sealed": len(credentials) - len(broken), "broken": broken}
    return len(credentials) - len(broken), broken
