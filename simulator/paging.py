"""Lists in pages: OpenAI's `after`, `before`, `limit`, `order`, and Anthropic's `after_id`, `before_id`, `limit`."""

from collections.abc import Mapping
from typing import Any

from simulator.errors import ApiError


def page(items: list[dict[str, Any]], query: Mapping[str, str], *, order: str = "desc") -> dict[str, Any]:
    """One page of items, which come oldest first."""
    limit = bounded(query.get("limit"), 20, 100)
    items = items if query.get("order", order) == "asc" else items[::-1]
    ids = [item["id"] for item in items]
    if (after := query.get("after")) is not None:
        items = items[_place(ids, after, "after") + 1 :]
    elif (before := query.get("before")) is not None:
        items = items[: _place(ids, before, "before")]
    shown = items[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(items) > limit,
    }


def anthropic_page(items: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    limit = bounded(query.get("limit"), 20, 1000)
    ids = [item["id"] for item in items]
    if (after := query.get("after_id")) is not None:
        items = items[_place(ids, after, "after_id") + 1 :]
        shown = items[:limit]
    elif (before := query.get("before_id")) is not None:
        items = items[: _place(ids, before, "before_id")]
        shown = items[-limit:]
    else:
        shown = items[:limit]
    return {
        "data": shown,
        "has_more": len(items) > limit,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }


def bounded(text: str | None, default: int, most: int) -> int:
    if text is None:
        return default
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise ApiError(
            400,
            f"Invalid 'limit': integer out of range. Expected a value between 1 and {most}, but got {text}.",
            param="limit",
            code="integer_out_of_range",
        )
    return int(text)


def _place(ids: list[str], wanted: str, param: str) -> int:
    if wanted not in ids:
        raise ApiError(404, f"No object found with id '{wanted}'.", param=param)
    return ids.index(wanted)
