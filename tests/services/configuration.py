"""A configuration in memory, and the calls that are placed by it."""

from app.protocol.call import Call, Caller, Place
from app.protocol.conversation import conversation_of
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.services.affinity import Affinity
from app.services.board import Alone
from app.services.choosing import Signs
from app.services.health import Health
from app.services.line import Line
from app.services.load import Load
from app.services.snapshot import ModelEntry, RouteEntry, Snapshot, UpstreamEntry


def place(upstream, n, kind="openai"):
    return Place(upstream, n, kind, "http://a", "k")


def upstream(n, kind="openai", *, enabled=True, priority=0, credentials=1, weight=1):
    places = {n * 10 + i: place(n, n * 10 + i, kind) for i in range(credentials)}
    return UpstreamEntry(n, kind, enabled, priority, places, weight=weight)


def entry(name, *routes):
    return ModelEntry(name, "owner", 1, tuple(routes))


def route(to, model="", priority=0, weight=1, *, enabled=True):
    return RouteEntry(to, model, priority, weight, enabled)


class Configuration:
    """What a router reads."""

    def __init__(self, *entries, upstreams=()):
        patterns = sorted(((e.name[:-1], e) for e in entries if e.name.endswith("*")), key=lambda p: -len(p[0]))
        exact = {e.name: e for e in entries if not e.name.endswith("*")}
        self.snapshot = Snapshot(1, {u.id: u for u in upstreams}, exact, tuple(patterns), {})


def signs(board=None, *, accounts=None, dismiss=None, cooldown_s=30.0, queue_wait_s=0.0):
    board, line = board or Alone(), Line()
    return Signs(
        health=Health(board, cooldown_s=cooldown_s, changed=line.changed),
        load=Load(board, changed=line.changed),
        affinity=Affinity(board, life_s=3600),
        accounts=accounts or {},
        dismiss=dismiss or (lambda _: None),
        line=line,
        queue_wait_s=queue_wait_s,
    )


def a_call(model="gpt", endpoint="responses.create", models=None, *, body=b'{"model":"m"}', mark="m", **headers):
    return Call(
        id="c",
        request_id="r",
        endpoint=BY_NAME[endpoint],
        caller=Caller(1, 1, mark, models),
        model=model,
        headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()),
        body=parse(body),
    )


def offered(router, call, **more):
    return router.offer(call, conversation_of(call), **more)
