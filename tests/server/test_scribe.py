"""A worker's scribe: what it writes, and that nobody misses anything when it is slow, killed, or its worker is."""

import fcntl
import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import live
from tests.live import until

CHAT = {"model": "sim-1", "messages": [{"role": "user", "content": "hello"}]}
RESPONSE = {"model": "sim-1", "input": "hello"}


@contextmanager
def house_of_one(provider, folder, **settings):
    with live.database("sqlite", folder, "") as url, live.open_house(folder, url, provider, **settings) as house:
        yield house


@pytest.fixture
def own(provider, tmp_path):
    """A house whose scribe may be hurt."""
    with house_of_one(provider, tmp_path) as house:
        yield house


def scribes(house):
    """The scribes of all workers."""
    found = []
    for worker in house.workers():
        for task in Path(f"/proc/{worker}/task").iterdir():
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def chat(house):
    answer = house.post("/v1/chat/completions", CHAT)
    assert answer.status == 200
    return answer.headers["x-request-id"]


def calls(house):
    """The calls that the log has a line for."""
    return [line["request_id"] for line in house.lines() if line["event"] == "call"]


def respond(house):
    return house.post("/v1/responses", RESPONSE)


def gone(pid):
    """Whether a process is no more; one that waits to be buried counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def writes(pid):
    """How much a process has written so far, in bytes."""
    told = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(told["wchar"])


def test_the_scribe_writes_records_and_owners(own):
    (scribe,) = scribes(own)
    before = writes(scribe)
    made = respond(own)
    assert made.status == 200
    own.record(made.headers["x-request-id"])
    assert [row["object_id"] for row in own.rows("SELECT * FROM owned_objects WHERE kind = 'response'")] == [
        made.json()["id"]
    ]
    assert writes(scribe) - before > 4096, "its pages of the database went through it"


def test_the_scribe_has_no_part_in_connections(own):
    """Else a port would stay taken, and a client whose worker hung up would wait for ever."""
    (scribe,) = scribes(own)
    held = {str(fd.readlink()) for fd in Path(f"/proc/{scribe}/fd").iterdir()}
    listening = {
        f"socket:[{fields[9]}]"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A"
    }
    assert not held & listening


def test_only_the_end_of_its_worker_ends_a_scribe(own):
    """Service managers and terminals signal whole groups; there may still be records to write."""
    (scribe,) = scribes(own)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        os.kill(scribe, number)
    own.record(chat(own))
    assert scribes(own) == [scribe]


def test_what_a_killed_scribe_would_have_written_its_worker_writes(own):
    (scribe,) = scribes(own)
    os.kill(scribe, signal.SIGKILL)
    until(lambda: gone(scribe))
    own.record(chat(own))
    made = respond(own)
    assert made.status == 200
    assert own.ask("GET", f"/v1/responses/{made.json()['id']}").status == 200
    assert any(line["event"] == "scribe_gone" for line in own.lines())


def test_a_scribe_that_stands_still_is_done_without_until_it_goes_on(own):
    (scribe,) = scribes(own)
    os.kill(scribe, signal.SIGSTOP)
    held = chat(own)
    try:
        own.record(held)  # after the time that a commit may take
        until(lambda: respond(own).status == 200)
    finally:
        os.kill(scribe, signal.SIGCONT)
    before = writes(scribe)
    until(lambda: chat(own) and writes(scribe) - before > 64 * 1024)
    assert len(own.rows(f"SELECT * FROM records WHERE request_id = '{held}'")) == 1  # it had the scribe's copy as well
    counted = own.rows("SELECT SUM(requests) AS n FROM rollups")[0]["n"]
    assert counted == own.rows("SELECT COUNT(*) AS n FROM records")[0]["n"]


def test_a_scribe_ends_with_its_killed_worker(own):
    (scribe,) = scribes(own)
    (worker,) = own.workers()
    last = chat(own)
    os.kill(worker, signal.SIGKILL)
    until(lambda: gone(scribe))
    own.record(last)


def test_nothing_is_left_behind_by_a_stop(provider, tmp_path):
    with house_of_one(provider, tmp_path) as house:
        (scribe,) = scribes(house)
        last = chat(house)
        house.process.terminate()
        house.process.wait(30)
        until(lambda: gone(scribe))
        house.record(last)
        assert not list((tmp_path / "journal").glob("*")), "all of it is in the database"


def test_each_call_is_one_line_of_the_log_whoever_writes_its_record(provider, tmp_path):
    with house_of_one(provider, tmp_path) as house:
        made = [chat(house) for _ in range(5)]
        until(lambda: calls(house) == made)
        (scribe,) = scribes(house)
        os.kill(scribe, signal.SIGKILL)
        until(lambda: gone(scribe))
        made += [chat(house) for _ in range(5)]
        house.process.terminate()
        house.process.wait(30)
        assert calls(house) == made


def test_a_log_that_nobody_takes_keeps_neither_a_call_nor_a_scribe(provider, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pipe.open("rb+", buffering=0) as held:
        fcntl.fcntl(held, fcntl.F_SETPIPE_SZ, 4096)
        into_it = ("sh", "-c", 'exec "$@" >"$0"', str(pipe))
        with house_of_one(provider, tmp_path, behind=into_it) as house:
            for _ in range(40):
                last = chat(house)
            house.record(last)
            (scribe,) = scribes(house)
            house.process.terminate()
            house.process.wait(30)
            until(lambda: gone(scribe))
