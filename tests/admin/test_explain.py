"""The page that explains where calls go."""

import json

from app.services import catalog
from app.services.context import context


def ready(app):
    with app.app_context():
        catalog.import_models(1, {"gpt-explained": None}, actor=None)
        context().directory.refresh()


def test_a_model_is_explained_as_a_page_and_as_json(app, admin_there, furnished):
    ready(app)
    page = admin_there.get("/admin/explain?model=gpt-explained")
    assert "main" in page.soup.find("table").get_text()
    assert [link["href"] for link in page.soup.find("table").find_all("a")][:2] == [
        "/admin/upstreams/1",
        "/admin/live?upstream=1",
    ]
    told = json.loads(admin_there.get("/admin/explain?model=gpt-explained&format=json").html)
    assert {place["order"] for place in told["places"]} == {1}


def test_what_is_not_there_is_told_where_it_was_asked_for(app, admin_there, furnished):
    ready(app)
    assert "does not exist" in admin_there.get("/admin/explain?model=nothing").text
    assert "no record of this request" in admin_there.get("/admin/explain?request=nobody").text
    answer = admin_there.get("/admin/explain?request=nobody&format=json")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json")
    assert "no record" in json.loads(answer.html)["error"]


def test_nothing_asked_is_nothing_told(admin_there):
    page = admin_there.get("/admin/explain")
    assert page.status == 200
    assert page.soup.find("table") is None


def test_only_administrators_are_told(app, alice_there):
    assert alice_there.get("/admin/explain?model=x").status == 404
