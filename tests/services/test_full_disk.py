"""A disk that is full under the journal, alone and together with a database that is away: nothing known is lost."""

import gevent
import pytest

from app.extensions import db
from app.models import Record
from app.protocol.record import End
from app.services.journal import Journal
from tests.faults.disks import disk
from tests.services.test_journal import all_records, files
from tests.services.test_pen import eventually, ids, rows  # noqa: F401
from tests.services.writing import away, record, told, writing


@pytest.fixture
def small(tmp_path):
    (tmp_path / "small").mkdir()
    with disk(tmp_path / "small", 1) as mounted:
        yield mounted


def write_until_full(journal):
    """Return what went in."""
    kept = []
    with pytest.raises(OSError, match=r"disk is full|No space left"):
        for n in range(100, 200):
            journal.append(*told(record(n)))
            kept.append(record(n))
    return kept


def test_a_line_that_did_not_fit_spoils_none_that_comes_after_it(small):
    journal = Journal(small.folder / "journal")
    journal.append(*told(record(1)))
    small.fill()
    kept = write_until_full(journal)
    small.clear()
    journal.append(*told(record(2)))
    segment = journal.rotate(at=0)
    assert all_records(segment) == [record(1), *kept, record(2)]
    segment.remove()


def test_a_segment_stays_the_current_one_while_there_is_no_room_for_the_next(small):
    journal = Journal(small.folder / "journal")
    journal.open(*told(record(1, end=End.ABORTED)))
    journal.append(*told(record(2)))
    small.fill()
    assert journal.rotate(at=0) is None
    assert len(files(small.folder / "journal")) == 1
    small.clear()
    segment = journal.rotate(at=0)
    assert all_records(segment) == [record(1, end=End.ABORTED), record(2)]
    segment.remove()


@pytest.mark.any_database
def test_what_ends_with_neither_disk_nor_database_is_kept_until_one_is_back(ids, small):  # noqa: F811
    """As on the one host whose only disk is full: the database refuses, and so does the journal."""
    with writing(db.engine, small.folder / "journal") as pen:
        for n in range(3):
            pen.open(record(n, end=End.ABORTED))
        with away(db.engine):
            pen.note(record(0))
            small.fill()
            eventually(lambda: pen._ill)
            others = range(100, 120)
            for n in (1, *others):
                pen.note(record(n))
            assert not pen.accepts
            gevent.sleep(1.5)  # the pen tries more than once meanwhile
            small.clear()
            pen.note(record(2))
        eventually(lambda: len(rows(Record)) == 3 + len(others))
        assert {row.end for row in rows(Record)} == {"completed"}
        eventually(lambda: not pen._ill and not pen._journal.waiting)
        pen.flush()
        assert files(small.folder / "journal") == []
