"""How each upstream is at the moment, as both the overview and the list show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.services import codex_connect
from app.services.context import context
from app.services.reports import Totals
from app.upstreams import UPSTREAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from typing import Any


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """Until when it is left out as a whole, its calls under way, its sums of a day, and what its accounts used.

    ``windows`` are names of allowances, each with the lowest share, in percent, that an account has used of it.
    """

    until: datetime | None
    under_way: int
    sums: Totals
    windows: dict[str, float]


def states(upstreams: Iterable[Any], sums: Mapping[int, Totals]) -> dict[int, UpstreamState]:
    """Return how each of them is, with what was added up of a day."""
    rests = context().explainer.left_out()
    until = {rest.upstream_id: rest.until for rest in rests if rest.upstream_id is not None and not rest.what}
    return {
        each.id: UpstreamState(
            until.get(each.id),
            context().explainer.under_way(each.id),
            sums.get(each.id, Totals()),
            _windows(each) if UPSTREAMS[each.kind].signs_in else {},
        )
        for each in upstreams
    }


def _windows(upstream: Any) -> dict[str, float]:
    told: dict[str, float] = {}
    for account in codex_connect.accounts(upstream.id):
        if account.enabled and account.state == "connected":
            for name, used, _resets_at in account.windows:
                told[name] = min(used, told.get(name, used))
    return told
