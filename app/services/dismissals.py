"""Disables a credential that its provider refused, and refused again when tried out: only a person can mend that."""

from __future__ import annotations

import gevent
import structlog
from sqlalchemy import Connection, Engine, insert, update
from sqlalchemy.exc import SQLAlchemyError

from app.models import AuditEntry, Credential, Meta
from app.models.base import utcnow
from app.models.meta import GENERATION
from app.protocol.call import Place

log = structlog.get_logger()


class Dismissals:
    """Writes past the calls: nobody waits for it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def dismiss(self, place: Place) -> None:
        """Disable the credential of a place, in all workers within a second, and say so in log and audit."""
        log.error("credential_disabled", credential=place.credential_id, upstream=place.upstream_id)
        gevent.spawn(self._disable, place)

    def _disable(self, place: Place) -> None:
        try:
            with self._engine.begin() as connection:
                _write(connection, place)
        except (SQLAlchemyError, OSError) as error:
            log.warning("credential_not_disabled", credential=place.credential_id, error=type(error).__name__)


def _write(connection: Connection, place: Place) -> None:
    mine = update(Credential).where(Credential.id == place.credential_id, Credential.enabled)
    if connection.execute(mine.values(enabled=False)).rowcount == 0:
        return  # another worker was faster
    connection.execute(update(Meta).where(Meta.name == GENERATION).values(value=Meta.value + 1))
    connection.execute(
        insert(AuditEntry).values(
            at=utcnow(),
            actor_id=None,
            action="credential.disable",
            target=f"credential {place.credential_id}",
            after={"reason": "its provider refused it twice"},
        )
    )
