"""A credential that its provider refuses for good is disabled, once, and everybody can see why."""

import gevent
import pytest

from app.extensions import db
from app.models import AuditEntry, Credential
from app.protocol.call import Place
from app.services import dismissals, upstreams
from app.services.dismissals import Dismissals


@pytest.mark.any_database
def test_a_dismissed_credential_is_disabled_and_the_audit_says_why(ctx, monkeypatch):
    made = upstreams.create(name="a", kind="openai", base_url="", key="sk-1", priority=0, weight=1, actor=None)
    (credential,) = made.credentials
    place = Place(made.id, credential.id, "openai", made.base_url, "sk-1")
    jobs = []
    monkeypatch.setattr(dismissals.gevent, "spawn", lambda *job: jobs.append(job))
    by = Dismissals(db.engine)
    by.dismiss(place)
    by.dismiss(place)
    for function, *arguments in jobs:
        function(*arguments)
    db.session.expire_all()
    assert not db.session.get(Credential, credential.id).enabled
    told = db.session.query(AuditEntry).filter_by(action="credential.disable").all()
    assert [entry.after for entry in told] == [{"reason": "its provider refused it twice"}]


def test_a_database_that_is_away_is_no_trouble_for_calls(ctx):
    class Away:
        def begin(self):
            raise OSError

    Dismissals(Away()).dismiss(Place(1, 2, "openai", "http://a", "k"))
    gevent.sleep(0)
