import json
from datetime import timedelta

import pytest

from app.extensions import db
from app.models.base import utcnow
from app.services import posting
from tests.services.writing import record

pytestmark = pytest.mark.any_database


@pytest.fixture
def kept(alice):
    now = utcnow()
    notes = [
        record(1, user_id=alice.id, at=now.timestamp(), cost=1_500_000_000),
        record(2, user_id=alice.id + 1, at=now.timestamp(), cost=None, model="n", status=500),
        record(3, user_id=alice.id, at=(now - timedelta(days=200)).timestamp(), cost=1),
    ]
    with db.engine.begin() as connection:
        posting.post(connection, notes, again=False)


def run(cli, *args):
    result = cli.invoke(args=["usage", *args])
    return result.exit_code, result.stdout, result.stderr


def test_sums_are_added_up_by_what_is_asked_for(cli, kept, alice):
    rows = json.loads(run(cli, "sums", "--json")[1])
    assert [(row["model"], row["requests"], row["cost"], row["unpriced"]) for row in rows] == [
        ("m", 1, "1.500000000", 0),
        ("n", 1, "0.000000000", 1),
    ]
    assert len(json.loads(run(cli, "sums", "--by", "day", "--user", alice.email, "--days", "400", "--json")[1])) == 2
    assert "$1.50" in run(cli, "sums", "--by", "user")[1]
    assert run(cli, "sums", "--user", "nobody@example.com")[0] == 1


def test_records_are_listed(cli, kept, alice):
    assert [row["request_id"] for row in json.loads(run(cli, "records", "--json")[1])] == ["req_2", "req_1", "req_3"]
    assert [row["status"] for row in json.loads(run(cli, "records", "--status", "error", "--json")[1])] == [500]
    assert "$1.50" in run(cli, "records", "--user", alice.email, "--model", "m")[1]
    assert run(cli, "records", "--status", "bad")[0] == 2
    assert run(cli, "records", "--model", "x")[1] == "No record fits.\n"
