"""What a page can find out about this house itself that somebody should mend; each answer is quick."""

from __future__ import annotations

import time

from app.extensions import db
from app.services import schema
from app.services.context import context

JOURNAL_S = 60.0
"""How long records may wait in a journal before it is worth a word."""
_known: set[str] = set()


def schema_behind() -> bool:
    """Whether migrations of this release are missing; once they aren't, they never will be."""
    if "present" not in _known and not schema.is_behind(db.engine):
        _known.add("present")
    return "present" not in _known


def records_wait() -> bool:
    """Whether this worker's journal holds records that should have been written long ago."""
    since = context().pen.waits_since
    return since is not None and time.time_ns() / 1e9 - since > JOURNAL_S


def redis_away() -> bool:
    """Whether this worker has lost the Redis that the others share with it."""
    return context().explainer.away


def trusts_everybody() -> bool:
    """Whether any address may say whom it speaks for."""
    return any(network.prefixlen == 0 for network in context().settings.trusted_proxies)


def unpriced() -> int:
    """Return how many enabled models have no price."""
    snapshot = context().directory.snapshot
    entries = [*snapshot.models.values(), *(entry for _name, entry in snapshot.patterns)]
    return sum(not entry.prices for entry in entries)
