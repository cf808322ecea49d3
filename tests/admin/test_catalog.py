"""The catalogue in the admin room."""

from datetime import timedelta

from app.extensions import db
from app.models.base import utcnow
from app.services import catalog, posting, upstreams
from tests.rooms import UPSTREAM_KEY
from tests.services.writing import record


def kept(app):
    with app.app_context():
        return {
            m.name: (
                m.enabled,
                [(r.upstream.name, r.upstream_model, r.priority, r.weight, r.enabled) for r in m.routes],
            )
            for m in catalog.list_models()
        }


def second_upstream(app):
    with app.app_context():
        return upstreams.create(
            name="spare", kind="openai", base_url="", key=UPSTREAM_KEY, priority=0, weight=1, actor=None
        ).id


def test_nothing_yet_leads_to_upstreams(admin_there):
    page = admin_there.get("/admin/models")
    assert "Models come from upstreams" in page.text
    assert page.soup.find(class_="empty").a["href"] == "/admin/upstreams/new"


def test_a_model_by_hand(app, admin_there, furnished):
    admin_there.submit("/admin/models", {"name": "big", "upstream": "1", "upstream_model": "m-2"})
    assert kept(app)["big"] == (True, [("main", "m-2", None, None, True)])
    assert "no spaces" in admin_there.submit("/admin/models", {"name": "a b", "upstream": "1"}).text
    assert "Not a valid choice." in admin_there.submit("/admin/models", {"name": "x", "upstream": "7"}).text


def test_off_on_and_gone(app, admin_there, furnished):
    admin_there.press("/admin/models", "/admin/models/1/disable")
    assert kept(app)["gpt-5"][0] is False
    admin_there.press("/admin/models/1", "/admin/models/1/enable")
    assert kept(app)["gpt-5"][0] is True
    admin_there.submit("/admin/models/1/delete")
    assert "gpt-5" not in kept(app)
    assert admin_there.get("/admin/models/1").status == 404


def test_routes(app, admin_there, furnished):
    spare = second_upstream(app)
    form = {"upstream": str(spare), "upstream_model": "gpt-5-eu", "priority": "3", "weight": "2"}
    assert admin_there.submit("/admin/models/1/routes/new", form).location == "/admin/models/1"
    assert kept(app)["gpt-5"][1][1] == ("spare", "gpt-5-eu", 3, 2, True)
    page = admin_there.get("/admin/models/1")
    assert not page.soup.find("a", href="/admin/models/1/routes/new"), "no upstream is left"
    route = page.soup.find_all("a", string="Change")[1]["href"]
    form = {"upstream_model": "", "priority": "", "weight": ""}
    token = admin_there.token()
    admin_there.post(route, form | {"csrf_token": token})  # a browser leaves an unticked box out
    assert kept(app)["gpt-5"][1][1] == ("spare", None, None, None, False)
    admin_there.submit(route + "/delete")
    assert len(kept(app)["gpt-5"][1]) == 1


def test_a_route_belongs_to_its_model(admin_there, furnished):
    assert admin_there.get("/admin/models/2/routes/1").status == 404


def test_mistakes_of_a_route_are_told(admin_there, furnished):
    assert "Enter a number from 1" in admin_there.submit("/admin/models/1/routes/1", {"weight": "0"}).text
    assert "Not a valid integer value." in admin_there.submit("/admin/models/1/routes/1", {"priority": "x"}).text


def test_what_was_asked_for_in_vain_can_be_added(app, admin_there, furnished):
    with app.app_context():
        notes = [
            record(n, model="<i>gpt-9</i>", status=404, attempts=(), at=(utcnow() - timedelta(hours=n)).timestamp())
            for n in range(3)
        ]
        with db.engine.begin() as connection:
            posting.post(connection, notes, again=False)
    page = admin_there.get("/admin/models")
    row = page.soup.find("caption", string="Asked for, not served").parent.tbody.tr
    assert row.th.get_text() == "<i>gpt-9</i>"
    assert row.find(class_="num").get_text(strip=True) == "3"
    filled_in = admin_there.get(row.select_one("td.end a")["href"].split("#")[0])
    assert filled_in.soup.find(id="name")["value"] == "<i>gpt-9</i>"
    assert "Models were asked for that aren't served: 1." in admin_there.get("/admin").text


def test_a_model_is_renamed(app, admin_there, furnished):
    answer = admin_there.submit("/admin/models/1/rename", {"name": "small"})
    assert "Another model has this name" in answer.text
    answer = admin_there.submit("/admin/models/1/rename", {"name": "gpt-6"})
    page = admin_there.follow(answer)
    assert "The model is called gpt-6 now" in page.text
    assert "gpt-5" in page.soup.find(attrs={"data-label": "Its name there"}).get_text()
