"""What is to be done now and then, and needs no worker: old rows are deleted.

Each chore works in short transactions and does nothing a second time, so that it may run on several hosts at once and
be killed at any moment.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, delete, select

from app.extensions import db
from app.models import AuditEntry, Cut, HalfSignIn, Link, OwnedObject, RunningCalls, SignIn
from app.models.base import utcnow
from app.services import history, sign_ins

if TYPE_CHECKING:
    from app.settings import Settings

PORTION = 1000
"""Rows of one transaction."""
CUT_LIFE = timedelta(days=1)
"""No call lasts longer, so that no worker has to be told of older ones."""


def run(settings: Settings) -> dict[str, int]:
    """Do all of them; return how many rows each deleted. Spans of 0 days keep their rows for ever."""
    now = utcnow()
    done = {"records": history.prune(settings.records_days) if settings.records_days else 0}
    if settings.audit_days:
        done["audit"] = _delete(AuditEntry, AuditEntry.id, AuditEntry.at < now - timedelta(days=settings.audit_days))
    if settings.deleted_days:
        gone = OwnedObject.deleted_at < now - timedelta(days=settings.deleted_days)
        done["deleted_objects"] = _delete(OwnedObject, OwnedObject.id, gone)
    done["sign_ins"] = _delete(SignIn, SignIn.digest, sign_ins.over(now))
    done["half_sign_ins"] = _delete(HalfSignIn, HalfSignIn.digest, sign_ins.half_over(now))
    done["links"] = _delete(Link, Link.digest, Link.expires_at < now)
    done["cuts"] = _delete(Cut, Cut.id, Cut.at < now - CUT_LIFE)
    done["running_calls"] = _delete(RunningCalls, RunningCalls.worker, RunningCalls.at < now - CUT_LIFE)
    return done


def _delete(table: Any, key: Any, old: ColumnElement[bool]) -> int:
    count = 0
    while keys := list(db.session.scalars(select(key).where(old).limit(PORTION))):
        db.session.execute(delete(table).where(key.in_(keys)))
        db.session.commit()
        count += len(keys)
    db.session.commit()
    return count
