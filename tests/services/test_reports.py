"""What pages tell about requests."""

from datetime import timedelta

from app.extensions import db
from app.models import Record
from app.models.base import utcnow
from app.services import reports


def test_last_requests_are_ones_own_newest_first(alice, bob):
    for number, user in enumerate((alice, bob, alice, alice)):
        row = {
            "request_id": "r",
            "token_id": 1,
            "endpoint": "e",
            "protocol": "openai",
            "status": 200,
            "end": "completed",
        }
        at = utcnow() - timedelta(minutes=number)
        db.session.add(Record(id=str(number), at=at, user_id=user.id, total_ms=1, **row))
    db.session.commit()
    assert [record.id for record in reports.last_requests(alice, 2)] == ["0", "2"]
    assert [record.id for record in reports.last_requests(bob, 9)] == ["1"]
