"""A house in which every model is served twice: by an upstream that faults are planned for, and by one without any."""

from contextlib import contextmanager
from itertools import groupby

from app.services import catalog, upstreams
from tests import live
from tests.faults.clients import MESSAGES, TALKS

KINDS = {"openai": "/v1", "anthropic": ""}
MODEL, ALONE, GONE = "pair-1", "alone-1", "gone-1"
"""Served by both; by the bad upstream alone; first by one behind whose address nobody listens."""


def model_of(talk, name=MODEL):
    return f"claude-{name}" if talk is MESSAGES else name


@contextmanager
def open_pairs(folder, provider, **settings):
    """Start the house; each kind has `bad`, which is asked first, `good`, and `gone`."""
    with live.database("sqlite", folder, "pairs") as url, live.open_house(folder, url, provider, **settings) as house:
        house.changed(lambda: furnish(house, provider))
        yield house


def furnish(house, provider):
    for talk_kind, suffix in KINDS.items():
        prefix = "claude-" if talk_kind == "anthropic" else ""
        for name, base, priority, names in (
            ("bad", f"{provider.url}/bad{suffix}", 50, (MODEL, ALONE)),
            ("good", f"{provider.url}/good{suffix}", 10, (MODEL, GONE)),
            ("gone", f"http://127.0.0.1:{live.free_port()}{suffix}", 90, (GONE,)),
        ):
            made = upstreams.create(
                name=f"{name} {talk_kind}",
                kind=talk_kind,
                base_url=base,
                key=f"sim-{name}-{talk_kind}",
                priority=priority,
                weight=1,
                actor=None,
            )
            house.upstreams[f"{name} {talk_kind}"] = made.id
            catalog.import_models(made.id, {prefix + model: None for model in names}, actor=None)


def plan(sim, fault, **more):
    """Plan a fault for all that is asked of the bad upstreams."""
    sim.control("POST", "faults", {"fault": fault, "path": "/bad/"} | more)


def asked(sim, since):
    """Which upstreams were asked, in order; twice at once is once: a kept connection had died meanwhile."""
    paths = [request["path"].split("/")[1] for request in sim.requests(since)]
    return [path for path, _ in groupby(paths)]


__all__ = ["ALONE", "GONE", "MODEL", "TALKS", "asked", "model_of", "open_pairs", "plan"]
