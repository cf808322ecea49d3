"""``GET /v1/models`` and ``GET /v1/models/{model}``, from the snapshot, in the shape of whoever asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from app.api import machinery
from app.api.door import Visit
from app.protocol.call import Caller
from app.protocol.endpoints import Protocol
from app.protocol.errors import Problem, RelayError
from app.protocol.paging import limit_of
from app.services.snapshot import ModelEntry

LIMIT_MAX = 1000


def add_rules(blueprint: Blueprint) -> None:
    """Model names may hold slashes and colons."""
    for rule, view in (("/v1/models", models), ("/v1/models/<path:model>", model)):
        blueprint.add_url_rule(rule, view.__name__, view, methods=["GET"], provide_automatic_options=False)


def models() -> Response:
    """The models that this token can reach."""
    visit: Visit = g.visit
    reachable = machinery().router.models(visit.protocol, _caller(visit))
    if visit.protocol is Protocol.ANTHROPIC:
        return jsonify(_anthropic_page([_anthropic(entry.name, entry) for entry in reachable]))
    return jsonify({"object": "list", "data": [_openai(entry.name, entry) for entry in reachable]})


def model(model: str) -> Response:
    """One model, also one that a pattern serves. Raises ``RelayError`` (404)."""
    visit: Visit = g.visit
    entry = machinery().router.model(visit.protocol, _caller(visit), model)
    if entry is None:
        message = f"The model '{model[:200]}' does not exist or you do not have access to it."
        raise RelayError(Problem.MODEL_NOT_FOUND, message, param="model")
    shape = _anthropic if visit.protocol is Protocol.ANTHROPIC else _openai
    return jsonify(shape(model, entry))


def _caller(visit: Visit) -> Caller:
    assert visit.caller is not None  # noqa: S101 - admitted
    return visit.caller


def _openai(name: str, entry: ModelEntry) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": entry.created, "owned_by": entry.owned_by or "realms"}


def _anthropic(name: str, entry: ModelEntry) -> dict[str, Any]:
    created = datetime.fromtimestamp(entry.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": name, "display_name": name, "created_at": created}


def _anthropic_page(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Return one page by Anthropic's cursors (``after_id``, ``before_id``, ``limit``)."""
    limit = limit_of(request.args.get("limit"), most=LIMIT_MAX)
    names = [entry["id"] for entry in entries]
    start, end = 0, len(entries)
    if (after := request.args.get("after_id")) in names:
        start = names.index(after) + 1
    if (before := request.args.get("before_id")) in names:
        end = names.index(before)
        start = max(start, end - limit)
    page = entries[start:end][:limit]
    return {
        "data": page,
        "has_more": start + len(page) < end if before is None else start > 0,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }
