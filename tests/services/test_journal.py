"""Records outlive their worker: whatever was written whole is replayed, by one worker, and changes nothing twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.journal import REPLAY_AT_ONCE, Journal
from tests.services.writing import record

ROOT = Path(__file__).parents[2]
CHILD = """
import sys, time
from pathlib import Path
from app.services.journal import Journal
from tests.services.writing import record
journal = Journal(Path(sys.argv[1]))
for n in range(int(sys.argv[2])):
    journal.append(record(n))
print("written", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


def files(folder):
    return sorted(folder.glob("*.journal"))


def all_records(segment):
    return [entry for portion in segment.records() for entry in portion]


def adopted(folder):
    journal = Journal(folder)
    journal.adopt()
    return journal.waiting


def left_behind(folder, count):
    """A segment whose worker was killed."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "written\n"
    held = adopted(folder)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    return held


def test_what_is_appended_comes_back_as_it_was(folder):
    journal = Journal(folder)
    kept = [record(n, model="模型\n" * n) for n in range(5)]
    for entry in kept:
        journal.append(entry)
    segment = journal.rotate(at=0)
    assert all_records(segment) == kept
    assert files(folder)[0].stat().st_mode & 0o777 == 0o600
    segment.remove()
    assert files(folder) == []


def test_a_killed_workers_segment_is_taken_over_and_a_living_ones_is_not(folder):
    assert left_behind(folder, 3) == []
    (segment,) = adopted(folder)
    assert all_records(segment) == [record(n) for n in range(3)]


def test_a_segment_is_taken_over_by_one_worker_alone(folder):
    left_behind(folder, 1)
    first, second = Journal(folder), Journal(folder)
    first.adopt()
    second.adopt()
    assert (len(first.waiting), second.waiting) == (1, [])
    first.adopt()
    assert len(first.waiting) == 1
    first.waiting[0].remove()
    second.adopt()
    assert second.waiting == []


def test_nobody_takes_over_ones_own_segments(folder):
    journal = Journal(folder)
    journal.append(record(1))
    journal.adopt()
    assert journal.waiting == []
    assert adopted(folder) == []


@given(cut=st.integers(0, 400))
def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("cut")
    whole = b"".join(msgspec.json.encode(record(n)) + b"\n" for n in range(3))
    (folder / "1-x.journal").write_bytes(whole[: len(whole) - cut])
    (segment,) = adopted(folder)
    complete = (whole[: len(whole) - cut] + b"\n").count(b"}\n")
    got = all_records(segment)
    assert got == [record(n) for n in range(len(got))]
    assert len(got) in {complete, complete - 1, 2}
    segment.remove()


def test_junk_between_records_costs_no_record(folder):
    folder.mkdir()
    lines = [msgspec.json.encode(record(1)), b"junk", b"{}", b"\xff\xfe", b"", msgspec.json.encode(record(2))]
    (folder / "1-x.journal").write_bytes(b"\n".join(lines) + b"\n")
    (segment,) = adopted(folder)
    assert all_records(segment) == [record(1), record(2)]
    segment.remove()


def test_a_long_segment_comes_in_portions(folder):
    journal = Journal(folder)
    for n in range(REPLAY_AT_ONCE + 1):
        journal.append(record(n))
    segment = journal.rotate(at=0)
    assert [len(portion) for portion in segment.records()] == [REPLAY_AT_ONCE, 1]
    segment.remove()


def test_a_segment_is_closed_when_it_has_grown_and_never_when_it_is_empty(folder):
    journal = Journal(folder)
    assert journal.rotate(at=0) is None
    journal.append(record(1))
    size = journal.size
    assert journal.rotate(at=size + 1) is None
    segment = journal.rotate(at=size)
    assert segment.size == size == segment.path.stat().st_size
    journal.append(record(2))
    assert len(files(folder)) == 2
    segment.remove()


def test_the_size_counts_what_is_not_yet_in_the_database(folder):
    journal = Journal(folder)
    assert journal.size == 0
    journal.append(record(1))
    one = journal.size
    journal.waiting.append(journal.rotate(at=0))
    journal.append(record(2))
    assert journal.size == 2 * one


def test_a_directory_that_is_not_there_holds_nothing(folder):
    assert adopted(folder) == []


def test_a_disk_that_is_full_is_told(folder):
    """/dev/full refuses every write, as a full disk does."""
    journal = Journal(folder)
    journal.append(record(1))
    os.dup2(os.open("/dev/full", os.O_WRONLY), journal._current._handle)
    with pytest.raises(OSError, match="No space left"):
        journal.append(record(2))
