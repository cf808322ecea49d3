"""``GET /v1/usage`` and ``GET /v1/usage/conversations/{key}``: what a token used, and how much it may use still."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, g, jsonify

from app.api import machinery
from app.api.door import Visit
from app.protocol.call import Caller
from app.protocol.conversation import keys_of
from app.protocol.errors import Problem, RelayError
from app.protocol.price import exact_dollars
from app.services import reports, talks
from app.services.reports import Scope, Totals
from app.services.standing import Standing

SPANS = {"today": 0, "last_7_days": 6, "last_30_days": 29}


def add_rules(blueprint: Blueprint) -> None:
    """A conversation's name is the client's own, and may hold anything."""
    for rule, view in (("/v1/usage", usage), ("/v1/usage/conversations/<path:key>", conversation)):
        blueprint.add_url_rule(rule, f"usage_{view.__name__}", view, methods=["GET"], provide_automatic_options=False)


def usage() -> Response:
    """What the caller's token used, and how its limits and its user's stand."""
    caller = _caller()
    now = datetime.now(UTC)
    spent = {
        name: _told(reports.totals(Scope(token_id=caller.token_id), reports.days_ago(days, now)))
        for name, days in SPANS.items()
    }
    limits = [_limit(standing) for standing in machinery().standings.of(caller.rules)]
    return jsonify({"object": "usage", "totals": spent, "limits": limits})


def conversation(key: str) -> Response:
    """What one conversation of the caller's cost. Raises ``RelayError`` (404)."""
    caller = _caller()
    talk = talks.find(caller.user_id, keys_of(caller, key))
    if talk is None:
        message = f"Conversation '{key[:200]}' has no usage."
        raise RelayError(Problem.CONVERSATION_NOT_FOUND, message, param="key")
    moments = {"first_at": int(talk.first_at.timestamp()), "last_at": int(talk.last_at.timestamp())}
    return jsonify({"object": "usage.conversation", "key": talk.key, **moments, **_told(talk.totals)})


def _caller() -> Caller:
    visit: Visit = g.visit
    assert visit.caller is not None  # noqa: S101 - admitted
    return visit.caller


def _told(totals: Totals) -> dict[str, Any]:
    share = totals.cache_share
    return {
        "requests": totals.requests,
        "errors": totals.errors,
        "input_tokens": totals.input_tokens,
        "cache_read_tokens": totals.cache_read_tokens,
        "cache_write_tokens": totals.cache_write_tokens,
        "output_tokens": totals.output_tokens,
        "reasoning_tokens": totals.reasoning_tokens,
        "cache_share": None if share is None else round(share, 4),
        "cost_usd": exact_dollars(totals.cost_nanos),
        "requests_without_price": totals.unpriced,
    }


def _limit(standing: Standing) -> dict[str, Any]:
    rule = standing.rule
    amount = exact_dollars if rule.money else lambda value: value
    return {
        "of": rule.scope,
        "measure": rule.measure.value,
        "model": rule.model or None,
        "allowed": amount(rule.most),
        "used": amount(standing.used),
        "left": amount(standing.left),
        "resets_at": None if standing.resets_at is None else int(standing.resets_at.timestamp()),
    }
