"""What it costs to place one call: to know its conversation, to choose, and to take note of how it went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from app.protocol.call import Call, Place
from app.protocol.conversation import by_its_beginning, conversation_of
from app.services.affinity import Affinity
from app.services.board import Alone
from app.services.choosing import Signs
from app.services.health import Health
from app.services.line import Line
from app.services.load import Load
from app.services.routing import Router
from app.services.snapshot import ModelEntry, RouteEntry, Snapshot, UpstreamEntry
from app.upstreams.verdict import Scope, Verdict

Station = Callable[[], object]


class Fixed:
    """A directory whose snapshot has a model with many routes."""

    def __init__(self, routes: int) -> None:
        upstreams = {
            n: UpstreamEntry(n, "openai", True, 0, {n: Place(n, n, "openai", "http://127.0.0.1:9/v1", "sk-upstream")})
            for n in range(routes)
        }
        entry = ModelEntry("gpt-5", "", 0, tuple(RouteEntry(upstream, "", 0) for upstream in upstreams.values()))
        self.snapshot = Snapshot(1, upstreams, {"gpt-5": entry}, (), {})


def router(routes: int, resting: int = 0) -> Router:
    """A router that has placed no call yet, and leaves some upstreams out."""
    board = Alone()
    health = Health(board, cooldown_s=30)
    for n in range(resting):
        down = Verdict(scope=Scope.UPSTREAM, reason="refused", at_once=True)
        health.failed(f"u:{n}", down, time.time(), trial=False)
    signs = Signs(health, Load(board), Affinity(board, life_s=3600), {}, lambda _: None, Line())
    return Router(Fixed(routes), signs)


def placing(by: Router, chat: Call) -> Station:
    conversation = conversation_of(chat)

    def placed():
        offer = by.offer(chat, conversation)
        offer.left_out()
        target = offer.next(0)
        offer.opened(target, ())
        offer.done(target)

    return placed


def placing_stations(chat: Call) -> Iterator[tuple[str, Station]]:
    yield "conversation", lambda: by_its_beginning(chat, conversation_of(chat))
    yield "placing, 1 route", placing(router(1), chat)
    for resting in (0, 1, 50):
        yield f"placing, 100 routes, {resting} of them out", placing(router(100, resting), chat)
