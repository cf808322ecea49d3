"""What was spent under a limit so far, from the sums kept with the records."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, Engine, Select, and_, exists, func, literal, or_, select

from app.models import ConversationTotal, DailyRollup, Model, Token
from app.protocol.limit import Rule, Span

Queries = dict[str, Select[int]]
"""What tells how much was spent under each key."""


class Spent:
    """Asks the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def under(self, rule: Rule, span: Span) -> Callable[[], int]:
        """Return what asks for the nano-dollars spent under a rule, in a span."""
        return lambda: self._ask(under(rule, span))

    def in_conversation(self, user_id: int, key: str) -> Callable[[], int]:
        """Return what asks for the nano-dollars that a user's conversation has cost."""
        return lambda: self._ask(in_conversation(user_id, key))

    def tokens(self, token_id: int) -> frozenset[int]:
        """Return the tokens that count together with the first of them."""
        with self._engine.connect() as connection:
            return frozenset(connection.scalars(select(Token.id).where(Token.line == token_id))) | {token_id}

    def _ask(self, wanted: Select[int]) -> int:
        with self._engine.connect() as connection:
            return int(connection.scalar(wanted) or 0)


def told(connection: Connection, queries: Queries) -> dict[str, int]:
    """Return the nano-dollars spent under each key."""
    return {key: int(connection.scalar(query) or 0) for key, query in queries.items()}


def under(rule: Rule, span: Span) -> Select[int]:
    """Return the query for what was spent under a rule of money, in a span."""
    wanted = select(func.sum(DailyRollup.cost_nanos))
    if rule.scope == "user":
        wanted = wanted.where(DailyRollup.user_id == rule.subject_id)
    elif rule.scope == "token":
        followers = select(Token.id).where(Token.line == rule.subject_id)
        wanted = wanted.where(DailyRollup.token_id.in_(followers.union_all(select(literal(rule.subject_id)))))
    if rule.model.endswith("*"):
        wanted = wanted.where(DailyRollup.model.startswith(rule.model[:-1], autoescape=True))
        if rule.scope == "model":
            wanted = wanted.where(~_served_by_another(rule.model))
    elif rule.model:
        wanted = wanted.where(DailyRollup.model == rule.model)
    return wanted if span.start == 0 else wanted.where(DailyRollup.day >= datetime.fromtimestamp(span.start, UTC))


def _served_by_another(pattern: str) -> ColumnElement[bool]:
    """Whether a model has an entry of its own, or a longer pattern's: what it costs is counted there."""
    other, beginning = Model.name, func.length(Model.name) - 1
    begins_so = func.substr(DailyRollup.model, 1, beginning) == func.substr(other, 1, beginning)
    longer = and_(other.endswith("*"), func.length(other) > len(pattern), begins_so)
    return exists().where(Model.enabled, or_(other == DailyRollup.model, longer))


def in_conversation(user_id: int, key: str) -> Select[int]:
    """Return the query for what one conversation has cost."""
    mine = ConversationTotal.user_id == user_id, ConversationTotal.key == key
    return select(ConversationTotal.cost_nanos).where(*mine)
