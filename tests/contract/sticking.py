"""Hundreds of conversations at once, and which key each of their turns reached."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from app.services import catalog, upstreams
from tests.faults.clients import CHAT, RESPONSES, call

TWIN = "twin-1"
CONVERSATIONS = 150
AT_ONCE = 12
OUT_S = 2
"""How long a key is out that its provider limits."""


def add_twins(house, provider):
    """Two upstreams of equal priority, weights 3 and 1, the first with two keys; each key is an account of its own."""
    for name, weight in (("heavy", 3), ("light", 1)):
        made = upstreams.create(
            name=name,
            kind="openai",
            base_url=f"{provider.url}/{name}/v1",
            key=f"sim-{name}",
            priority=0,
            weight=weight,
            actor=None,
        )
        house.upstreams[name] = made.id
        catalog.import_models(made.id, {TWIN: None}, actor=None)
    upstreams.add_credential(house.upstreams["heavy"], name="second", key="sim-heavy-2", actor=None)


class Talks:
    """So many conversations: half of them with a name, the others known by how they begin."""

    def __init__(self, house, sim, name):
        self._house = house
        self._sim = sim
        self._name = name
        self._said = {n: [] for n in range(CONVERSATIONS)}

    def turn(self):
        """Have each say one thing more; return by which key each was answered."""
        since = self._sim.count()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            assert set(pool.map(self._go_on, self._said)) == {200}
        return dict(self._answered(request) for request in self._sim.requests(since) if request["status"] == 200)

    def _go_on(self, n):
        said = self._said[n]
        said.append({"role": "user", "content": f"{self._name} {n} {len(said)}"})
        if n % 2:
            return call(self._house, CHAT, model=TWIN, messages=list(said)).status
        return call(self._house, RESPONSES, model=TWIN, input=list(said), prompt_cache_key=f"{self._name} {n}").status

    def _answered(self, request):
        body = json.loads(request["body"])
        first = (body.get("messages") or body["input"])[0]["content"]
        return int(first.split()[-2]), request["key"]


def assert_they_stay(house, sim, name):
    """At least 99 in 100 turns reach the key of the turn before, while that is well; who moved stays where he moved."""
    talks = Talks(house, sim, name)
    first, *later = [talks.turn() for _ in range(3)]
    assert len(set(first.values())) == 3
    same = sum(keys[n] == first[n] for keys in later for n in first)
    assert same >= 0.99 * len(later) * CONVERSATIONS, same
    lost = {n for n, key in later[-1].items() if key == "sim-light"}
    sim.control("POST", "faults", {"fault": f"status=429,retry_after={OUT_S}", "path": "/light/", "times": 1})
    moved = talks.turn()
    out = time.monotonic()  # by now, at the latest
    stayed = sum(moved[n] == later[-1][n] for n in moved if n not in lost)
    assert stayed >= 0.99 * (CONVERSATIONS - len(lost)), stayed
    sim.control("DELETE", "faults")
    time.sleep(max(0.0, out + OUT_S + 0.1 - time.monotonic()))
    after = [talks.turn() for _ in range(2)]
    assert sum(keys[n] == moved[n] for keys in after for n in moved) >= 0.99 * len(after) * CONVERSATIONS
    left = sum(moved[n] != "sim-light" for n in lost)
    assert left
    return f"{same + sum(keys[n] == moved[n] for keys in after for n in moved)} of {4 * CONVERSATIONS} stayed, {left} moved"
