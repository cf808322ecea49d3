"""The audit and the registry as administrators read them."""

import re

from app.extensions import db
from app.models import OwnedObject
from app.protocol.limit import Measure
from app.protocol.price import Rates, Tariff
from app.services import accounts, allowances, announcements, prices
from tests.rooms import ADMIN


def test_the_audit_tells_before_and_after_and_can_be_narrowed(app, admin_there):
    admin_there.submit("/admin/users/1/edit", {"name": "Alicia"})
    page = admin_there.get("/admin/audit?action=user.update&target=alice")
    assert "name Alice → Alicia" in page.text
    assert "user.create" not in page.text
    assert "Nothing of that kind" in admin_there.get("/admin/audit?actor=nobody@example.com").text


def test_the_audit_goes_on_to_older_changes(app, admin_there):
    with app.app_context():
        for n in range(60):
            accounts.update_user(1, name=f"Alice {n}", role="user", actor=None)
    page = admin_there.get("/admin/audit?action=user.update")
    assert "Alice 59" in page.text
    older = page.soup.select_one(".older a")["href"]
    page = admin_there.get(older)
    assert "Alice 0" in page.text
    assert page.soup.select_one(".older") is None


def test_an_object_is_found_and_forgotten(app, admin_there):
    with app.app_context():
        db.session.add(OwnedObject(upstream_id=1, credential_id=1, kind="response", object_id="resp_1", user_id=1))
        db.session.commit()
    assert "alice@example.com" in admin_there.get("/admin/objects?object_id=resp_1").text
    admin_there.submit("/admin/objects/1/forget")
    assert "forgotten" in admin_there.get("/admin/objects?email=alice@example.com").text


def test_the_audit_tells_money_as_money_and_moments_as_moments(app, admin_there, furnished):
    with app.app_context():
        admin = accounts.by_email(ADMIN)
        allowances.put("user", admin.id, most={Measure.DAY: 6_500_000_000}, actor=admin)
        prices.put(1, Tariff(Rates(input=1_250_000_000)), actor=admin)
        announcements.announce("x", days=7, actor=admin)
    text = admin_there.get("/admin/audit").text
    assert "money_day → $6.50" in text
    assert "input $1.25" in text
    assert re.search(r"ends_at → \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", text)
    assert "valid_from → 2020-01-01 00:00:00 UTC" in text
    assert "000000" not in text
    assert "True" not in text
