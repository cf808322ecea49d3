"""Everybody's requests, for administrators."""

import json

from tests.console.test_usage import keep, models, rows
from tests.rooms import ADMIN, ALICE
from tests.services.writing import record


def test_everybodys_requests_are_listed_and_filtered(app, alice_there, admin_there):
    assert "No requests yet" in admin_there.get("/admin/requests").text
    keep(app, ALICE, 1, 2)
    keep(app, ADMIN, 3)
    page = admin_there.get("/admin/requests")
    assert models(page) == ["model-3", "model-2", "model-1"]
    assert ALICE in page.text
    assert models(admin_there.get("/admin/requests?upstream=2&model=model-2")) == ["model-2"]
    assert models(admin_there.get("/admin/requests?upstream=1")) == []


def test_a_request_is_found_by_its_id(app, admin_there):
    keep(app, ADMIN, 3)
    for named in ("req_3", record(3).id):
        assert admin_there.get(f"/admin/requests?id={named}").location == f"/admin/requests/{record(3).id}"
    assert "No request has this id" in admin_there.get("/admin/requests?id=nothing").text


def test_one_request_shows_who_tried_what(app, admin_there):
    keep(app, ADMIN, 3)
    page = admin_there.get(f"/admin/requests/{record(3).id}")
    assert "credential 5" in page.text
    assert "upstream_error" in page.text
    assert ADMIN in page.text
    assert json.loads(page.soup.select_one("pre").get_text())["attempts"][1]["upstream_request_id"] == "u"
    assert page.soup.main.find("a", href="/admin/explain?request=req_3")
    assert admin_there.get("/admin/requests/nothing").status == 404


def test_others_do_not_see_it(app, alice_there):
    keep(app, ADMIN, 3)
    for path in ("/admin/requests", f"/admin/requests/{record(3).id}", "/admin/requests.csv", "/admin/prices"):
        assert alice_there.get(path).status == 404


def test_exports_ask_for_the_password_and_say_who_served(app, admin_there):
    keep(app, ADMIN, 3)
    head, row = rows(admin_there.get("/admin/requests.csv"))
    assert row[head.index("upstream_id")] == "2"
    assert rows(admin_there.get("/admin/requests-model.csv"))[0][0] == "model"
