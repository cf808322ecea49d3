"""How far somebody's limits are used up, for pages that show them as bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.extensions import db
from app.protocol.limit import Measure
from app.services import allowances
from app.services.context import context
from app.web import times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from app.services.standing import Standing

SHOWN = 24


@dataclass(frozen=True, slots=True)
class LimitBar:
    """One limit: the name of the token that it is on (empty: the user's), and which records count under it."""

    name: str
    standing: Standing
    counted: dict[str, Any]

    @property
    def live(self) -> bool:
        """Whether calls under way are counted, not records."""
        return self.standing.rule.measure is Measure.CONCURRENT


def standings_of(user: Any, tokens: Iterable[Any]) -> list[LimitBar]:
    """Return the limits of a user, and those of the user's tokens that aren't revoked."""
    usable = {token.id: token for token in tokens if token.revoked_at is None}
    connection = db.session.connection()
    mine = [(None, rule) for rule in allowances.rules(connection, "user", {user.id}).get(user.id, ())]
    of_tokens = allowances.rules(connection, "token", set(usable))
    theirs = [(token, rule) for number, token in usable.items() for rule in of_tokens.get(number, ())]
    # Tokens that followed each other count together: a limit that they share is told once, of the newest.
    whose = {rule: token for token, rule in reversed([*mine, *theirs])}
    told = context().standings.of(tuple(reversed(whose))[:SHOWN])
    lines = {token.line for token in usable.values()}
    return [LimitBar(getattr(whose[each.rule], "name", ""), each, dict(_counted(each, lines))) for each in told]


def _counted(standing: Standing, lines: set[int | None]) -> Iterator[tuple[str, Any]]:
    """Yield the filter of records, as addresses have it, that finds what a limit counts."""
    rule = standing.rule
    if rule.scope == "token":
        yield "line" if rule.subject_id in lines else "token", rule.subject_id
    if rule.model:
        yield "model", rule.model
    if standing.begins_at is not None:
        yield "since", times.written(standing.begins_at)
