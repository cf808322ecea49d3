"""Who is left out after which failure: the matrix of faults and protocols, streamed and whole, read from the records.

Each case has an upstream of its own that fails it, so that none has to wait for another's to come back.
"""

import json
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from sqlalchemy import select

from app.extensions import db
from app.models import Credential, Model, Route, Upstream
from app.services import catalog, upstreams
from tests import live
from tests.contract.pairs import KINDS
from tests.faults.clients import MESSAGES, TALKS, Talk, call

ENOUGH = 3
"""Failures that are needed where one says little."""
UPSTREAM, CREDENTIAL, MODEL, ENDPOINT, NOBODY = "u", "c", "r", "e", ""
ALWAYS = {
    "fault=cut_at:0": (ENOUGH, UPSTREAM, "broken"),
    "fault=redirect:/elsewhere": (ENOUGH, UPSTREAM, "redirect"),
    "status=408": (ENOUGH, UPSTREAM, "status_408"),
    "status=500": (ENOUGH, UPSTREAM, "status_500"),
    "status=502": (ENOUGH, UPSTREAM, "status_502"),
    "status=504": (ENOUGH, UPSTREAM, "status_504"),
    "status=529": (ENOUGH, UPSTREAM, "status_529"),
    "status=503,retry_after=60": (1, UPSTREAM, "status_503"),
    "refused": (1, UPSTREAM, "refused"),
    "status=401": (1, CREDENTIAL, "key_refused"),
    "status=402": (1, CREDENTIAL, "quota"),
    "status=403": (1, CREDENTIAL, "credential_refused"),
    "status=429": (1, CREDENTIAL, "rate_limited"),
    "fault=not_found_endpoint": (1, ENDPOINT, "endpoint_missing"),
    "status=400": (ENOUGH + 1, NOBODY, ""),
    "status=404": (ENOUGH + 1, NOBODY, ""),
    "status=409": (ENOUGH + 1, NOBODY, ""),
    "status=413": (ENOUGH + 1, NOBODY, ""),
    "status=422": (ENOUGH + 1, NOBODY, ""),
}
OPENAI_ALONE = {
    "status=404,code=model_not_found": (1, MODEL, "model_not_found"),
    "status=429,code=insufficient_quota": (1, CREDENTIAL, "quota"),
}
STREAMED = {
    "fault=html": (ENOUGH, UPSTREAM, "wrong_type"),
    "fault=empty_body": (ENOUGH, UPSTREAM, "ended_early"),
    "fault=error_first:529": (ENOUGH, UPSTREAM, "status_529"),
    "fault=error_opening:500": (ENOUGH, UPSTREAM, "status_500"),
    "fault=error_first:429": (1, CREDENTIAL, "rate_limited"),
}
WHOLE = {
    "fault=html": (ENOUGH, UPSTREAM, "broken_body"),
    "fault=broken_json": (ENOUGH, UPSTREAM, "broken_body"),
    "fault=wrong_length:+50": (ENOUGH, UPSTREAM, "broken"),
    "fault=sse_for_plain": (ENOUGH, UPSTREAM, "wrong_type"),
}


class Case(NamedTuple):
    """So many calls that fail so; then this is left out, for this reason."""

    talk: Talk
    stream: bool
    fault: str
    times: int
    scope: str
    reason: str

    @property
    def name(self):
        return f"{self.talk.name}-{'stream' if self.stream else 'plain'}-{self.fault}"


CASES = [
    Case(talk, stream, fault, *told)
    for talk in TALKS
    for stream in (True, False)
    for fault, told in (ALWAYS | ({} if talk is MESSAGES else OPENAI_ALONE) | (STREAMED if stream else WHOLE)).items()
]


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    with open_cases(tmp_path_factory.mktemp("cases"), provider, cooldown_s="30") as running:
        yield running


@contextmanager
def open_cases(folder, provider, **settings):
    with live.database("sqlite", folder, "cases") as url, live.open_house(folder, url, provider, **settings) as house:
        house.changed(lambda: furnish(house, provider))
        yield house


def furnish(house, provider):
    """Each case's model is served by an upstream of its own first, and by one that is well."""
    nobody = f"http://127.0.0.1:{live.free_port()}"
    for kind, suffix in KINDS.items():
        mine = [n for n, case in enumerate(CASES) if (case.talk is MESSAGES) is (kind == "anthropic")]
        well = made(f"well {kind}", kind, f"{provider.url}/well{suffix}", priority=1)
        for n in mine:
            if CASES[n].fault == "refused":
                made(f"case {n}", kind, nobody + suffix, priority=50, serves=[n])
        copy(well, {n: f"{provider.url}/case{n}{suffix}" for n in mine if CASES[n].fault != "refused"})
        catalog.import_models(well.id, {f"case-{n}": None for n in mine}, actor=None)


def made(name, kind, base_url, *, priority, serves=()):
    told = {"name": name, "kind": kind, "base_url": base_url, "key": f"sim-{kind}"}
    upstream = upstreams.create(**told, priority=priority, weight=1, actor=None)
    catalog.import_models(upstream.id, {f"case-{n}": None for n in serves}, actor=None)
    return upstream


def copy(upstream, addresses):
    """Add many upstreams at once, each with its case's model; a key is good for all of one origin."""
    sealed = db.session.scalars(select(Credential).filter_by(upstream_id=upstream.id)).one().sealed
    for n, address in addresses.items():
        own = Upstream(name=f"case {n}", kind=upstream.kind, base_url=address, priority=50)
        own.credentials = [Credential(name="default", sealed=sealed)]
        db.session.add_all([own, Route(model=Model(name=f"case-{n}"), upstream=own)])
    db.session.commit()


@pytest.mark.parametrize("n", range(len(CASES)), ids=[case.name for case in CASES])
def test_only_who_is_at_fault_is_left_out(house, sim, n):
    case, since = CASES[n], sim.count()
    if case.fault != "refused":
        sim.control("POST", "faults", {"fault": case.fault, "path": f"/case{n}/"})
    for _ in range(case.times):
        got = call(house, case.talk, model=f"case-{n}", stream=case.stream)
        assert got.status == (200 if case.scope else int(case.fault[7:10]))
    last = call(house, case.talk, model=f"case-{n}", stream=case.stream)
    left_out = json.loads(house.record(last.request_id)["left_out"] or "[]")
    assert [(key[0], reason) for key, reason in left_out] == ([(case.scope, case.reason)] if case.scope else [])
    paths = [request["path"].split("/")[1] for request in sim.requests(since)]
    failed = 0 if case.fault == "refused" else case.times if case.scope else case.times + 1
    assert paths.count("well") == (case.times + 1 if case.scope else 0)
    assert failed <= paths.count(f"case{n}") <= 2 * failed  # twice where a kept connection had died meanwhile
