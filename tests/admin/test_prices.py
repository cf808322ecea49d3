"""Prices by form, the price list, and records paid again with a preview."""

import pytest

from app.services import catalog, history, prices, upstreams
from tests.console.test_usage import keep
from tests.rooms import ADMIN
from tests.services.writing import record


@pytest.fixture
def gpt(app, admin_there):
    with app.app_context():
        made = upstreams.create(
            name="openai",
            kind="openai",
            base_url="https://api.openai.com/v1",
            key="k",
            priority=0,
            weight=1,
            actor=None,
        )
        catalog.import_models(made.id, {"gpt-5": None, "mine": None}, actor=None)
        return {model.name: model.id for model in catalog.list_models()}


def kept(app, model_id):
    with app.app_context():
        return [price.tariffs["standard"]["rates"] for price in prices.list_for(model_id)]


def test_a_price_is_set_and_taken_away(app, admin_there, gpt):
    path = f"/admin/models/{gpt['mine']}/prices"
    assert "No price" in admin_there.get(path).text
    assert "Enter an amount" in admin_there.submit(path, {"input": "much"}).text
    assert "Enter an amount" in admin_there.submit(path, {}).text
    admin_there.submit(path, {"input": "0.0375", "output": "$0.15", "valid_from": "2026-10-01"})
    assert kept(app, gpt["mine"]) == [{"input": 37_500_000, "output": 150_000_000}]
    page = admin_there.get(path)
    assert "Fresh input: $0.0375" in page.text
    assert "set by hand" in page.text
    assert [page.soup.find("input", id=name)["value"] for name in ("input", "output", "cache_read")] == [
        "0.0375",
        "0.15",
        "",
    ]
    link = page.soup.find("a", class_="danger", href=lambda href: href and "/prices/" in href)["href"]
    admin_there.submit(link, {})
    assert kept(app, gpt["mine"]) == []
    assert admin_there.get(link).status == 404


def test_the_list_is_shown_against_what_is_set_and_what_is_ticked_is_taken(app, admin_there, gpt):
    page = admin_there.get("/admin/prices")
    assert page.soup.find("input", attrs={"name": "take", "value": "gpt-5"}).has_attr("checked")
    admin_there.submit("/admin/prices", {"take": "gpt-5"})
    assert kept(app, gpt["gpt-5"])[0]["input"] == 1_250_000_000
    assert "Nothing to change" in admin_there.get("/admin/prices").text


def test_records_are_paid_again_once_it_was_shown_what_that_comes_to(app, admin_there, gpt):
    keep(app, ADMIN, 1, model="mine")
    admin_there.submit(f"/admin/models/{gpt['mine']}/prices", {"input": "1000", "output": "1000", "cache_read": "1000"})
    form = {"since": "2027-01-01", "until": "2027-01-31", "model": ""}
    page = admin_there.submit("/admin/prices", form, action="/admin/prices/again")
    assert "1 of 1 records change: $0.000037 become $0.007." in page.text
    with app.app_context():
        assert history.get(record(1).id).cost_nanos == 37_000
    hidden = {item["name"]: item["value"] for item in page.form("/admin/prices/again").find_all("input", type="hidden")}
    admin_there.post("/admin/prices/again", form | hidden)
    with app.app_context():
        assert history.get(record(1).id).cost_nanos == 7_000_000
