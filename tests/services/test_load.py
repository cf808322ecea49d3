"""Calls under way are counted here, and added to what the others tell."""

from app.protocol.call import Place
from app.services.board import Alone
from app.services.load import Load


def at(upstream_id, credential_id):
    return Place(upstream_id, credential_id, "openai", "http://127.0.0.1:9/v1", "")


def test_calls_under_way_are_counted():
    load = Load(Alone())
    load.begin(at(1, 1))
    load.begin(at(1, 2))
    assert [load.of(key) for key in ("u:1", "c:1", "c:2", "u:2")] == [2, 1, 1, 0]
    load.end(at(1, 1))
    load.end(at(1, 2))
    assert [load.of(key) for key in ("u:1", "c:1")] == [0, 0]


def test_the_last_use_is_remembered():
    load = Load(Alone())
    load.begin(at(1, 1))
    load.end(at(1, 1))
    load.begin(at(1, 2))
    assert 0 < load.last_used("c:1") <= load.last_used("c:2")
    assert load.last_used("c:3") == 0
