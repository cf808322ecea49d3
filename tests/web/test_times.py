"""The reader's time zone: chosen on the account page, followed by every moment and day that pages tell."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.extensions import db
from app.models import Token
from app.services import accounts, posting
from app.web import times
from tests.rooms import ADMIN, ALICE, Browser
from tests.services.writing import record

SHANGHAI = ZoneInfo("Asia/Shanghai")
EVENING = datetime(2026, 3, 1, 20, 15, tzinfo=UTC)
"""The second of March in Shanghai."""


def choose(browser, zone):
    return browser.submit("/account", {"time_zone": zone}, action="/account/time-zone")


def keep(app, *, number=1, at=EVENING):
    with app.app_context(), db.engine.begin() as connection:
        user = accounts.by_email(ALICE).id
        posting.post(connection, [record(number, at=at.timestamp(), user_id=user, model=f"m-{number}")], again=False)


def at(monkeypatch, moment):
    """Have pages take this for the present moment."""
    monkeypatch.setattr(times, "now", lambda: moment.astimezone(times.zone()))


@pytest.fixture
def evening(alice_there, monkeypatch):
    at(monkeypatch, EVENING + timedelta(minutes=30))
    return alice_there


def test_moments_are_told_by_utc_until_somebody_chooses(app, evening):
    keep(app)
    page = f"/usage/{1:032x}"
    assert "2026-03-01 20:15:00 UTC " in evening.get(page).text
    assert choose(evening, "Asia/Shanghai").location == "/account"
    assert "2026-03-02 04:15:00 UTC+08:00" in evening.get(page).text
    assert evening.get("/account").soup.find("option", value="Asia/Shanghai").has_attr("selected")
    choose(evening, "UTC")
    assert "2026-03-01 20:15:00 UTC " in evening.get(page).text


def test_what_is_no_zone_is_refused(evening):
    assert choose(evening, "Asia/Nowhere").status == 200
    assert choose(evening, "../../etc/passwd").status == 200
    assert evening.get("/account").soup.find("select", id="time_zone").find("option", selected=True)["value"] == "UTC"


def test_a_zone_that_is_no_more_is_utc(app, evening):
    with app.app_context():
        accounts.set_time_zone(accounts.by_email(ALICE), "Atlantis/Capital")
    assert evening.get("/account").status == 200
    assert "UTC" in evening.get("/tokens/new").soup.find(id="expires_on-about").get_text()


def test_days_of_charts_and_sums_begin_with_the_readers(app, evening):
    keep(app, number=1, at=EVENING)
    keep(app, number=2, at=EVENING.replace(hour=15, minute=59))  # a minute before midnight there
    chart = [t.get_text(strip=True) for t in evening.get("/?days=7").soup.select("svg title")]
    assert [each for each in chart if not each.endswith(": 0")] == ["03-01: 2"]
    assert "Today 2" in evening.get("/usage").text
    choose(evening, "Asia/Shanghai")
    chart = [t.get_text(strip=True) for t in evening.get("/?days=7").soup.select("svg title")]
    assert [each for each in chart if not each.endswith(": 0")] == ["03-01: 1", "03-02: 1"]
    today = [t.get_text(strip=True) for t in evening.get("/?days=1").soup.select("svg title")]
    assert len(today) == 24
    assert [each for each in today if not each.endswith(": 0")] == ["04:00: 1"]
    assert "Today 1" in evening.get("/usage").text


def test_a_filter_by_day_means_the_readers_day(app, evening):
    keep(app)
    query = "/usage?since=2026-03-01&until=2026-03-01"
    assert "m-1" in evening.get(query).text
    choose(evening, "Asia/Shanghai")
    assert "m-1" not in evening.get(query).soup.find("table").find_parent("main").find_all("article")[-1].get_text()
    assert "m-1" in evening.get("/usage?since=2026-03-02&until=2026-03-02").text
    for hour, found in (("T03:00", True), ("T05:00", False)):
        assert ("m-1" in evening.get(f"/usage/requests.csv?since=2026-03-02{hour}").html) is found, "the reader's hour"
    for day in ("0001-01-01", "9999-12-31"):
        assert evening.get(f"/usage?since={day}&until={day}").status == 200


def test_exports_tell_the_zone_in_their_headings(app, evening):
    keep(app)

    def exported(path):
        return [line[0] for line in csv.reader(io.StringIO(evening.get(path).html))]

    assert exported("/usage/requests.csv") == ["at", "2026-03-01T20:15:00.000+00:00"]
    assert exported("/usage/days.csv") == ["day", "2026-03-01T00:00:00.000+00:00"]
    choose(evening, "Asia/Shanghai")
    assert exported("/usage/requests.csv") == ["at (Asia/Shanghai)", "2026-03-02T04:15:00.000+08:00"]
    assert exported("/usage/hours.csv") == ["hour (Asia/Shanghai)", "2026-03-02T04:00:00.000+08:00"]
    assert exported("/usage/days.csv") == ["day (Asia/Shanghai)", "2026-03-02T00:00:00.000+08:00"]


def test_a_token_works_until_the_end_of_the_readers_day(app, evening):
    choose(evening, "Asia/Shanghai")
    form = evening.get("/tokens/new")
    assert "(Asia/Shanghai)" in form.soup.find(id="expires_on-about").get_text()
    assert evening.submit("/tokens/new", {"name": "x", "expires_on": "2099-03-05"}).status == 302
    with app.app_context():
        assert db.session.get(Token, 1).expires_at == datetime(2099, 3, 5, 23, 59, 59, tzinfo=SHANGHAI)
    assert evening.get("/tokens/1").soup.find(id="expires_on")["value"] == "2099-03-05"
    evening.submit("/tokens/1", {"name": "y"})
    with app.app_context():
        assert db.session.get(Token, 1).expires_at == datetime(2099, 3, 5, 23, 59, 59, tzinfo=SHANGHAI)


def test_each_reader_has_a_zone_of_their_own(app, evening):
    choose(evening, "Asia/Shanghai")
    keep(app)
    admin = Browser(app).sign_in(ADMIN)
    assert "2026-03-01 20:15:00 UTC " in admin.get(f"/admin/requests/{1:032x}").text
    choose(admin, "America/New_York")
    assert "2026-03-01 15:15:00 UTC-05:00" in admin.get(f"/admin/requests/{1:032x}").text


def test_zones_of_places_are_offered_and_nothing_else():
    offered = {name for names in times.places().values() for name in names}
    assert {"Asia/Shanghai", "Europe/London", "America/Argentina/Ushuaia"} <= offered
    assert not {name for name in offered if name.startswith(("Etc/", "posix/"))}


def test_a_day_may_be_longer_than_24_hours(app, alice_there, monkeypatch):
    at(monkeypatch, datetime(2026, 10, 25, 12, tzinfo=UTC))
    choose(alice_there, "Europe/Berlin")
    keep(app, at=datetime(2026, 10, 25, 22, 30, tzinfo=UTC))
    labels = [t.get_text(strip=True) for t in alice_there.get("/?days=1").soup.select("svg title")]
    assert len(labels) == 25
    assert labels[-1] == "23:00: 1"


def test_the_hour_that_comes_twice_is_two_hours_and_each_leads_to_its_own(app, alice_there, monkeypatch):
    at(monkeypatch, datetime(2026, 10, 25, 12, tzinfo=UTC))
    choose(alice_there, "Europe/Berlin")
    for number, moment in ((1, (23, 30)), (2, (0, 10)), (3, (0, 20)), (4, (1, 10)), (5, (2, 10))):
        day = 24 if moment[0] == 23 else 25
        keep(app, number=number, at=datetime(2026, 10, day, *moment, tzinfo=UTC))
    page = alice_there.get("/?days=1")
    hours = [row for row in page.soup.find("caption", string="Requests").parent.tbody.find_all("tr") if row.a]
    assert [row.th.get_text(strip=True) for row in hours] == ["01:00", "02:00 UTC+02:00", "02:00 UTC+01:00", "03:00"]
    for row, told in zip(hours, [{"m-1"}, {"m-2", "m-3"}, {"m-4"}, {"m-5"}], strict=True):
        listed = alice_there.get(row.a["href"])
        cells = listed.soup.find_all("td", attrs={"data-label": "Model"})
        assert {cell.get_text(strip=True) for cell in cells} == told
        fields = {listed.soup.find(id=f"by-{name}")["value"]: name for name in ("since", "until")}
        assert all(fields), "and the filter that is shown is the filter there is"
    kinds = {listed.soup.find(id="by-since")["type"] for listed in [alice_there.get(hours[1].a["href"])]}
    assert kinds == {"text"}, "a browser's own field would be empty: it knows no distance from UTC"
    titles = [t.get_text(strip=True) for t in page.soup.select("svg title")]
    assert {"02:00 UTC+02:00: 2", "02:00 UTC+01:00: 1"} <= set(titles)


def test_an_hour_that_is_left_out_is_none(app, alice_there, monkeypatch):
    at(monkeypatch, datetime(2026, 3, 29, 12, tzinfo=UTC))
    choose(alice_there, "Europe/Berlin")
    keep(app, at=datetime(2026, 3, 29, 0, 30, tzinfo=UTC))
    page = alice_there.get("/?days=1")
    labels = [t.get_text(strip=True) for t in page.soup.select("svg title")]
    assert (len(labels), labels[1:3]) == (23, ["01:00: 1", "03:00: 0"])
    row = page.soup.find("caption", string="Requests").parent.tbody.tr
    assert "m-1" in alice_there.get(row.a["href"]).text


def test_where_a_day_begins_and_is_over(app):
    with app.test_request_context():
        assert times.begin_of(date(2026, 3, 1)) == datetime(2026, 3, 1, tzinfo=UTC)
        assert times.end_of(date(2026, 2, 28)) == datetime(2026, 3, 1, tzinfo=UTC)
        assert times.name() == "UTC"
