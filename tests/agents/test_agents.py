"""Codex CLI and Claude Code work through a task of several turns while the accounts behind Realms fail between them.

`make agents` installs both from npm and runs this; wherever they aren't installed it is skipped.
"""

import json
from itertools import pairwise

import pytest

from app.services import catalog, upstreams
from tests import live
from tests.agents.agents import Claude, Codex, installed, tee

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not installed(), reason="REAL AGENTS NOT TESTED: `make agents` installs Codex and Claude Code"),
]
KINDS = {Codex: ("openai", "/v1"), Claude: ("anthropic", "")}
UNCHANGED = ("session-id", "thread-id", "x-client-request-id", "originator", "user-agent", "accept", "anthropic-beta",
             "anthropic-version", "x-claude-code-session-id", "x-app")  # fmt: skip
PREFIX = "x-codex-"
FAULTS = {
    "status=500": "status_500",
    "status=429,retry_after=1": "rate_limited",
    "fault=error_first:529": "status_529",
    "fault=cut_at:100": "broken",
    "status=401": "key_refused",
}
"""What goes wrong between two turns, and the word for it in the record."""
agents = pytest.mark.parametrize("agent", [Codex, Claude], ids=["codex", "claude"])


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    """Two upstreams of each kind with two accounts each."""
    folder = tmp_path_factory.mktemp("agents")
    with live.database("sqlite", folder, "agents") as url:
        with live.open_house(folder, url, provider, cooldown_s="1") as running:
            running.changed(lambda: furnish(running.provider.url))
            yield running


def furnish(base):
    for agent, (kind, suffix) in KINDS.items():
        for name in ("one", "two"):
            made = upstreams.create(
                name=f"{name} {kind}",
                kind=kind,
                base_url=f"{base}/{name}{suffix}",
                key=f"sim-{name}-{kind}",
                priority=50,
                weight=1,
                actor=None,
            )
            upstreams.add_credential(made.id, name="second", key=f"sim-{name}-{kind}-2", actor=None)
            catalog.import_models(made.id, {agent.model: None}, actor=None)


@pytest.fixture
def talk(house, sim, tmp_path, agent):
    """One conversation with an agent: asks, and tells what reached the provider for it."""
    with tee(house.port) as between:
        yield Talk(house, sim, between, agent(between.url, house.tokens["alice"], tmp_path))


class Talk:
    def __init__(self, house, sim, between, agent):
        self._house = house
        self._sim = sim
        self._last = house.rows("SELECT coalesce(max(id), '') AS id FROM records")[0]["id"]
        self._between = between
        self._since = sim.count()
        self.agent = agent

    def turn(self, number, *, rounds, words=""):
        """Have the model call for so many commands, one after the other; the last shows what the first wrote."""
        commands = [f"echo turn {number} step {n} >> log.txt" for n in range(rounds - 1)] + ["tail -n 1 log.txt"]
        said = self.agent.ask(f"Turn {number}. {words} " + " [[then]] ".join(map(self.agent.step, commands)))
        assert f"turn {number} step {rounds - 2}" in said

    def fail_next(self, fault):
        """Let the account that the conversation is with fail its next request."""
        path = f"/{self.reached()[-1]['path'].split('/')[1]}/"
        self._sim.control("POST", "faults", {"fault": fault, "path": path, "times": 1})

    def tries(self):
        """With which credential each attempt was made, and what was wrong, from the records."""
        query = f"""SELECT attempts.credential_id, error FROM attempts JOIN records ON records.id = attempts.record_id
                    WHERE records.model = '{self.agent.model}' AND records.id > '{self._last}' ORDER BY records.id, n"""
        live.until(lambda: len(self._house.rows(query)) == len(self.reached()))
        return [(row["credential_id"], row["error"]) for row in self._house.rows(query)]

    def reached(self):
        """What reached the provider, without the bodies' ends."""
        return [request for request in self._sim.requests(self._since) if request["method"] == "POST"]

    def whole(self):
        return [self._sim.control("GET", f"requests/{request['n']}") for request in self.reached()]

    def sent(self):
        return self._between.sent()


def moved(tries):
    """How often a request went to another account than the one before, though that had answered well."""
    return sum(one[1] == "" and one[0] != other[0] for one, other in pairwise(tries))


def headers_of(request):
    return {name.lower(): value for name, value in request["headers"]}


def assert_unchanged(sent, reached):
    """All that caches and sessions go by arrived as it was sent; the body is the same to the byte."""
    by_body = {each.body.decode(): each for each in sent}
    for request in reached:
        theirs = by_body[request["body"]]
        arrived = headers_of(request)
        for name, value in theirs.headers.items():
            if name in UNCHANGED or name.startswith(PREFIX):
                assert arrived.get(name) == value, name


@agents
def test_a_task_of_many_turns_is_done_while_accounts_fail_between_them(talk, agent, capsys):
    for number, fault in enumerate(FAULTS):
        talk.turn(number, rounds=4)
        talk.fail_next(fault)
    talk.turn(len(FAULTS), rounds=4)
    lines = (talk.agent.work / "log.txt").read_text().splitlines()
    assert lines == [f"turn {n} step {k}" for n in range(len(FAULTS) + 1) for k in range(3)]
    reached, sent, tries = talk.whole(), talk.sent(), talk.tries()
    assert [error for _, error in tries if error] == list(FAULTS.values())
    assert len(reached) == len(sent) + len(FAULTS)
    assert moved(tries) == 0
    assert_unchanged(sent, reached)
    assert len({json.loads(each.body).get("prompt_cache_key") for each in sent}) == 1
    assert all((b'"cache_control"' in each.body) is (agent is Claude) for each in sent)
    with capsys.disabled():
        print(f"\n{agent.__name__}: {len(sent)} requests, {len(FAULTS)} failed over unseen, none moved otherwise")


@agents
def test_what_only_the_first_account_can_read_does_not_end_the_task(talk, agent):
    talk.turn(0, rounds=3, words="[[think]]")
    talk.fail_next("status=500")
    talk.turn(1, rounds=3, words="[[think]]")
    tries = talk.tries()
    assert [error for _, error in tries if error] == ["status_500", "mended_unsealed"]
    assert moved(tries) == 0
