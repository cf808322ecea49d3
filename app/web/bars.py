"""How far somebody's limits are used up, for pages that show them as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.extensions import db
from app.services import allowances
from app.services.context import context

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from app.services.standing import Standing

SHOWN = 24


def standings_of(user: Any, tokens: Iterable[Any]) -> list[tuple[str, Standing]]:
    """Return the limits of a user, and those of the user's tokens with their names."""
    names = {token.id: token.name for token in tokens if token.revoked_at is None}
    connection = db.session.connection()
    mine = allowances.rules(connection, "user", {user.id}).get(user.id, ())
    of_tokens = allowances.rules(connection, "token", set(names))
    rules = [*mine, *(rule for number in names for rule in of_tokens.get(number, ()))]
    told = context().standings.of(tuple(rules[:SHOWN]))
    return [(names[each.rule.subject_id] if each.rule.scope == "token" else "", each) for each in told]
