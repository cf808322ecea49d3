"""A worker takes as many calls as it can carry; what is too much is refused at the door."""

import pytest

from app.protocol.errors import Problem, RelayError
from app.relay.room import Room


def group(folder, *, most, current, cached=0):
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")
    return folder


def refuses(room):
    try:
        room.admit()
    except RelayError as error:
        assert error.problem is Problem.OVERLOADED
        assert error.retry_after >= 1
        return True
    return False


def test_before_the_server_told_how_many_connections_it_takes_all_calls_are_taken(tmp_path):
    assert not refuses(Room(range(10_000), group=tmp_path))


@pytest.mark.parametrize(("connections", "most"), [(9_700, 9_550), (400, 250), (200, 100), (4, 2)])
def test_calls_leave_connections_for_health_checks_and_pages(tmp_path, connections, most):
    calls = set(range(most))
    room = Room(calls, group=tmp_path)
    room.start(connections)
    assert not refuses(room)
    calls.add("one more")
    assert refuses(room)
    calls.pop()
    assert not refuses(room)


@pytest.mark.acceptance("K-7")
def test_memory_that_runs_short_refuses_calls_until_there_is_some_again(tmp_path):
    room = Room(set(), group=group(tmp_path, most=1000, current=851))
    room.look()
    assert refuses(room)
    group(tmp_path, most=1000, current=849)
    room.look()
    assert not refuses(room)


def test_files_that_the_kernel_keeps_for_nobody_are_not_counted(tmp_path):
    room = Room(set(), group=group(tmp_path, most=1000, current=990, cached=400))
    room.look()
    assert not refuses(room)


@pytest.mark.parametrize("most", ["max", "", "nonsense"])
def test_without_a_limit_memory_refuses_nobody(tmp_path, most):
    room = Room(set(), group=group(tmp_path, most=most, current=10**15))
    room.look()
    assert not refuses(room)
