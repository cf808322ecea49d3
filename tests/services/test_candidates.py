"""The choice in a tier: by weight, and away from who is busy."""

from collections import Counter

import pytest

from app.protocol.errors import RelayError
from app.services.candidates import Candidate, Candidates, Tier
from tests.services.configuration import Configuration, a_call, entry, route, upstream


def tier(*weights):
    return Tier(Candidate(upstream(n), "", 0, weight) for n, weight in enumerate(weights, 1))


def every(_):
    return True


def shares(of, load, calls=4000):
    counts = Counter(of.choose(load, is_open=every).upstream.id for _ in range(calls))
    return [counts[candidate.upstream.id] / calls for candidate in of.members]


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (1, 2, 7)])
def test_each_gets_its_weights_share_while_nobody_is_busy(weights):
    assert shares(tier(*weights), lambda _: 0) == pytest.approx([w / sum(weights) for w in weights], abs=0.05)


def test_a_burst_spreads_by_weight():
    of, busy = tier(3, 1), Counter()
    for _ in range(400):
        busy[of.choose(lambda candidate: busy[candidate.upstream.id], is_open=every).upstream.id] += 1
    assert busy[1] == pytest.approx(300, abs=40)


def test_one_alone_gets_all():
    assert tier(5).choose(lambda _: 99, is_open=every).upstream.id == 1


def test_who_is_out_is_never_chosen_however_much_he_weighs():
    of = tier(1000, 1, 1)
    chosen = {of.choose(lambda _: 0, is_open=lambda c: c.upstream.id != 1).upstream.id for _ in range(50)}
    assert chosen == {2, 3}
    assert of.choose(lambda _: 0, is_open=lambda _: False) is None
    assert tier(1).choose(lambda _: 0, is_open=lambda _: False) is None


def test_tiers_come_by_priority_and_are_made_once_for_each_snapshot():
    low, high, other = upstream(1), upstream(2), upstream(3)
    configuration = Configuration(entry("gpt", route(low), route(high, priority=9), route(other)))
    candidates = Candidates(configuration)
    tiers = candidates.tiers(a_call())
    assert [[c.upstream.id for c in tier.members] for tier in tiers] == [[2], [1, 3]]
    assert candidates.tiers(a_call()) is tiers
    configuration.snapshot = Configuration(entry("gpt", route(low))).snapshot
    assert [[c.upstream.id for c in tier.members] for tier in candidates.tiers(a_call())] == [[1]]


def test_what_must_be_well_for_a_candidate_is_named_apart():
    call = a_call("gpt-4o")
    assert Candidate(upstream(7), "", 0, 1).keys(call) == ("u:7", "r:7:gpt-4o", "e:7:responses.create")
    (made,) = Candidates(Configuration(entry("gpt", route(upstream(7))))).tiers(a_call())
    assert made.members[0].keys(a_call()) == ("u:7", "r:7:gpt", "e:7:responses.create")
    (made,) = Candidates(Configuration(entry("gpt*", route(upstream(7))))).tiers(a_call("gpt-x"))
    assert made.members[0].keys(a_call("gpt-x"))[1] == "r:7:gpt-x"
    assert Candidate(upstream(7), "theirs", 0, 1).keys(call)[1] == "r:7:theirs"


def test_a_call_that_names_no_model_goes_to_its_place_also_where_that_is_deleted_meanwhile():
    candidates = Candidates(Configuration(entry("gpt", route(upstream(7), "theirs"))))
    assert candidates.name_at(a_call("gpt"), 7) == "theirs"
    assert candidates.name_at(a_call("", "conversations.create"), 8) == ""
    with pytest.raises(RelayError):
        candidates.name_at(a_call("gpt"), 8)
