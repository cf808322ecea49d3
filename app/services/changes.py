"""Every change of configuration goes through ``change``: one transaction, one audit row, one new generation.

Several that belong together go through it inside ``together``, and are one transaction with an audit row each.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import has_request_context, request
from sqlalchemy import update

from app.extensions import db
from app.models import AuditEntry, Meta
from app.models.meta import GENERATION
from app.services.context import context
from app.services.keys import peer_mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.models import User


_TOGETHER = "together"
"""In the session's notes while changes are one transaction."""


@dataclass(slots=True)
class Change:
    """What the audit will say; the body of ``change`` fills in what it learns."""

    target: str
    before: Any = None
    after: Any = None


@contextmanager
def change(action: str, target: str, *, actor: User | None) -> Iterator[Change]:
    """Run the body in one transaction with its audit row and a raised generation; then refresh this worker's snapshot.

    Any exception rolls everything back.
    """
    if _TOGETHER not in db.session().info:
        with together(), change(action, target, actor=actor) as told:
            yield told
        return
    told = Change(target)
    yield told
    db.session.add(
        AuditEntry(
            actor_id=actor.id if actor else None,
            peer=_peer(),
            action=action,
            target=told.target[:200],
            before=told.before,
            after=told.after,
        )
    )


@contextmanager
def together() -> Iterator[None]:
    """Make all changes of the body one transaction: every one is kept, or none.

    Raising the generation first takes its row lock, so that changes happen one after the other and a body may check
    what it relies on (a last administrator, a free name).
    """
    notes = db.session().info
    try:
        db.session.execute(update(Meta).where(Meta.name == GENERATION).values(value=Meta.value + 1))
        notes[_TOGETHER] = True
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    finally:
        notes.pop(_TOGETHER, None)
    context().directory.refresh()


def _peer() -> str:
    address = request.remote_addr if has_request_context() else None
    return peer_mark(context().settings.signing_keys[0], address) if address else ""
