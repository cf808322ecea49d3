"""The first page of administration."""

import pytest

from app import create_app
from app.extensions import db
from app.services import catalog, upstreams
from tests.rooms import ADMIN, Browser


def warnings(browser):
    return [note.get_text(" ", strip=True) for note in browser.get("/admin").soup.find_all(class_="note warn")]


def test_what_is_missing_is_told_with_where_to_mend_it(admin_there):
    page = admin_there.get("/admin")
    links = [note.a["href"] for note in page.soup.find_all(class_="note warn")]
    assert links == ["/admin/upstreams/new", "/admin/models"]


def test_all_is_well(admin_there, furnished):
    assert warnings(admin_there) == []
    page = admin_there.get("/admin")
    assert "Nothing needs your attention." in page.text
    assert [n.get_text() for n in page.soup.select(".numbers strong")] == ["1", "2", "2"]


def test_what_is_switched_off_is_told(app, admin_there, furnished):
    with app.app_context():
        for number in (1, 2):
            upstreams.set_credential_enabled(number, enabled=False, actor=None)
    assert "has no enabled credential" in warnings(admin_there)[0]
    with app.app_context():
        upstreams.set_enabled(1, enabled=False, actor=None)
        catalog.set_model_enabled(2, enabled=False, actor=None)
    assert [text.split(".")[0] for text in warnings(admin_there)] == [
        "All upstreams are disabled",
        "No enabled upstream serves the model gpt-5",
    ]


@pytest.mark.acceptance("C-4")
@pytest.mark.parametrize(
    ("public_url", "warned"),
    [
        ("http://realms.example.com", True),
        ("http://10.0.0.5:8080", True),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("http://localhost", False),
    ],
)
def test_an_address_without_encryption(settings, people, public_url, warned):
    app = create_app(settings.model_copy(update={"public_url": public_url}))
    told = warnings(Browser(app).sign_in(ADMIN))
    assert any("without encryption" in text for text in told) is warned
    with app.app_context():
        db.engine.dispose()
