"""Records outlive their worker: whatever was written whole is replayed, by one worker, and changes nothing twice."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.record import End
from app.services.journal import REPLAY_AT_ONCE, Journal
from tests.services.writing import record, told

ROOT = Path(__file__).parents[2]
CHILD = """
import sys, time
from pathlib import Path
from app.protocol.record import End
from app.services.journal import Journal
from tests.services.writing import record, told
journal = Journal(Path(sys.argv[1]))
for n in range(int(sys.argv[2])):
    journal.append(*told(record(n)))
print("written", flush=True)
time.sleep(60)
"""
PLAIN_USER = """
import sys
from pathlib import Path
from app.services.journal import Journal, unopened
journal = Journal(Path(sys.argv[1]))
for _ in range(2):
    journal.adopt()
print(len(unopened(Path(sys.argv[1]))), *(segment.path.name for group in journal.orphans for segment in group))
"""
"""Looks twice; the last line tells how many can't be opened, and what was taken over."""


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
    return [segment for group in journal.orphans for segment in group]


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
        journal.append(*told(entry))
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
    assert (len(first.orphans), second.orphans) == (1, [])
    first.adopt()
    assert len(first.orphans) == 1
    first.orphans[0][0].remove()
    second.adopt()
    assert second.orphans == []


def test_a_workers_segments_are_taken_over_together_or_not_at_all(folder):
    """One of them may say how a call ended that another says is open."""
    left_behind(folder, 1)
    (path,) = files(folder)
    later = path.with_name(path.name.replace("000000", "000001"))
    later.write_bytes(path.read_bytes())
    with later.open("rb+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert adopted(folder) == []
    assert [segment.path for segment in adopted(folder)] == [path, later]


def left_by(folder, *workers):
    """A segment of each of these workers, which are gone; returns the paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{worker}-000000.journal" for worker in workers]
    for path in paths:
        path.write_bytes(msgspec.json.encode(record(1)) + b"\n")
    return paths


def refusals(told):
    return [line["error"] for line in told if line["event"] == "journal_not_adopted"]


def test_what_cannot_be_opened_is_told_once_and_holds_up_nothing_behind_it(folder):
    before, refused, behind = left_by(folder, "1-a", "2-b", "3-c")
    refused.rename(aside := folder / "aside")
    refused.mkdir()
    journal = Journal(folder)
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            journal.adopt()
    assert [[segment.path for segment in group] for group in journal.orphans] == [[before], [behind]]
    assert [str(refused) in text for text in refusals(told)] == [True]
    refused.rmdir()
    aside.rename(refused)
    journal.adopt()
    assert [segment.path for segment in journal.orphans[-1]] == [refused]


def test_one_segment_that_cannot_be_opened_leaves_its_workers_others_free(folder):
    """They wait for it: what one says is open, the other may have ended."""
    first, second = left_by(folder, "1-a", "1-b")
    second.rename(later := folder / "1-a-000001.journal")
    later.rename(aside := folder / "aside")
    later.mkdir()
    assert adopted(folder) == []
    later.rmdir()
    aside.rename(later)
    assert [segment.path for segment in adopted(folder)] == [first, later]


def test_another_users_segment_is_passed_over(folder):
    """Root may open everything, unless that right is taken from it."""
    refused, behind = left_by(folder, "1-a", "2-b")
    refused.chmod(0)
    plain = []
    if os.geteuid() == 0:
        if not (setpriv := shutil.which("setpriv")):
            pytest.skip("setpriv is not installed: nothing was shown of files that root can't open")
        plain = [setpriv, "--bounding-set", "-dac_override,-dac_read_search"]
    looks = [*plain, sys.executable, "-c", PLAIN_USER, str(folder)]
    done = subprocess.run(looks, cwd=ROOT, capture_output=True, text=True, check=True)
    *told, last = done.stdout.splitlines()
    assert last == f"1 {behind.name}"
    assert ["journal_not_adopted" in line and "Permission denied" in line for line in told] == [True]


def test_the_next_segment_begins_with_the_calls_that_are_open(folder):
    journal = Journal(folder)
    for number in (1, 2):
        journal.open(*told(record(number, end=End.ABORTED)))
    journal.append(*told(record(1)))
    first = journal.rotate(at=0)
    assert [entry.id for entry in all_records(first)] == [record(n).id for n in (1, 2, 1)]
    first.remove()
    assert [each.read_bytes().count(b"\n") for each in files(folder)] == [1]
    assert journal.rotate(at=1) is None, "what is only carried along is no reason for another segment"
    journal.append(*told(record(2)))
    assert [entry.end for entry in all_records(journal.rotate(at=0))] == [End.ABORTED, End.COMPLETED]
    assert files(folder) != []
    assert journal.size == 0


def test_nobody_takes_over_ones_own_segments(folder):
    journal = Journal(folder)
    journal.append(*told(record(1)))
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
        journal.append(*told(record(n)))
    segment = journal.rotate(at=0)
    assert [len(portion) for portion in segment.records()] == [REPLAY_AT_ONCE, 1]
    segment.remove()


def test_a_segment_is_closed_when_it_has_grown_and_never_when_it_is_empty(folder):
    journal = Journal(folder)
    assert journal.rotate(at=0) is None
    journal.append(*told(record(1)))
    size = journal.size
    assert journal.rotate(at=size + 1) is None
    segment = journal.rotate(at=size)
    assert segment.size == size == segment.path.stat().st_size
    journal.append(*told(record(2)))
    assert len(files(folder)) == 2
    segment.remove()


def test_the_size_counts_what_is_not_yet_in_the_database(folder):
    journal = Journal(folder)
    assert journal.size == 0
    journal.append(*told(record(1)))
    one = journal.size
    journal.waiting.append(journal.rotate(at=0))
    journal.append(*told(record(2)))
    assert journal.size == 2 * one


def test_a_directory_that_is_not_there_holds_nothing(folder):
    assert adopted(folder) == []


def test_a_disk_that_is_full_is_told(folder):
    """/dev/full refuses every write, as a full disk does."""
    journal = Journal(folder)
    journal.append(*told(record(1)))
    os.dup2(os.open("/dev/full", os.O_WRONLY), journal._current._handle)
    with pytest.raises(OSError, match="No space left"):
        journal.append(*told(record(2)))


def test_an_end_that_only_a_newer_release_knows_loses_no_record(folder):
    journal = Journal(folder)
    journal.append(*told(record(1)))
    segment = journal.rotate(at=0)
    segment.path.write_text(segment.path.read_text().replace('"completed"', '"wandered_off"'))
    assert [(each.id, each.end) for each in all_records(segment)] == [(record(1).id, End.FAILED)]
    segment.remove()
