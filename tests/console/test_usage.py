"""One's own requests on pages and in exports: filtered in the address, and nobody else's."""

import csv
import io
import json

import pytest
from sqlalchemy import event

from app.extensions import db
from app.protocol.price import Price, Rates, Tariff, bill
from app.protocol.record import End
from app.services import accounts, posting
from tests.rooms import ADMIN, ALICE, filled
from tests.services.writing import record

PRICE = Price(1, 0.0, Tariff(Rates(input=2_000_000_000, cache_read=1_000_000_000, output=8_000_000_000)))


def keep(app, email, *numbers, **more):
    with app.app_context():
        user = accounts.by_email(email)
        kept = []
        for number in numbers:
            fields = {"user_id": user.id, "model": f"model-{number}"} | more
            paid = bill(PRICE, record(number, **fields).usage)
            kept.append(record(number, cost=paid.cost, price=paid.price, **fields))
        with db.engine.begin() as connection:
            posting.post(connection, kept, again=False)


def models(page):
    return [cell.get_text(strip=True) for cell in page.soup.find_all("td", attrs={"data-label": "Model"})]


@pytest.fixture
def busy(app, alice_there):
    keep(app, ALICE, *range(1, 4))
    keep(app, ALICE, 4, status=500, end=End.UPSTREAM_CUT, stream=True, conversation="c" * 32)
    keep(app, ADMIN, 9)
    return alice_there


def test_nothing_yet_leads_to_a_client(alice_there):
    assert alice_there.get("/usage").soup.find(class_="empty").a["href"] == "/connect"
    assert "No conversations yet" in alice_there.get("/usage/conversations").text


def test_ones_own_requests_are_listed_with_their_cost(busy):
    page = busy.get("/usage")
    assert models(page) == ["model-4", "model-3", "model-2", "model-1"]
    assert "$0.000037" in page.text
    assert "model-9" not in page.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("model=model-2", [2]),
        ("status=error", [4]),
        ("status=ok", [3, 2, 1]),
        ("status=500&stream=1", [4]),
        ("end=upstream_cut", [4]),
        ("conversation=" + "c" * 32, [4]),
        ("since=2027-01-15&until=2027-01-15", [4, 3, 2, 1]),
        ("since=2027-01-16", []),
        ("since=rubbish&status=x&end=y&token=z&after=q&stream=7", [4, 3, 2, 1]),
        ("user=1&upstream=99", [4, 3, 2, 1]),
    ],
)
def test_filters_stand_in_the_address(busy, query, found):
    page = busy.get(f"/usage?{query}")
    assert models(page) == [f"model-{n}" for n in found]
    assert found or "Nothing fits" in page.text


@pytest.mark.parametrize(
    "query", ["status=500", "status=error", "stream=0", "end=upstream_cut", "model=x", "reason=x", "since=2027-01-15"]
)
def test_the_filter_that_is_shown_is_the_filter_there_is(busy, query):
    form = busy.get(f"/usage?{query}").soup.select_one(".filter form")
    assert {name: value for name, value in filled(form, {}).items() if value} == dict([query.split("=")])


def test_older_ones_are_a_page_away(app, alice_there):
    keep(app, ALICE, *range(60))
    page = alice_there.get("/usage?status=ok")
    assert len(models(page)) == 50
    older = page.soup.find("a", string=lambda text: text and "Older" in text)["href"]
    assert "status=ok" in older
    rest = alice_there.get(older)
    assert len(models(rest)) == 10
    assert not set(models(page)) & set(models(rest))


def test_one_request_shows_its_working_and_no_upstream(busy):
    page = busy.get(f"/usage/{record(1).id}")
    assert page.title == "Request req_1 · Realms"
    for told in ("$0.000004", "$0.000001", "$0.000032", "$0.000037", "Fresh input"):
        assert told in page.text
    assert "upstream_error" in page.text
    assert "credential" not in page.text
    assert page.soup.find("td", attrs={"data-label": "Request id there"}).get_text(strip=True) == "–"
    told = json.loads(page.soup.select_one("pre").get_text())
    assert (told["request_id"], told["end"], told["attempts"][0]["error"]) == ("req_1", "completed", "upstream_error")
    assert "upstream_id" not in {*told, *told["attempts"][0]}, "users learn of no upstream"


@pytest.mark.acceptance("B-16")
def test_nobody_elses_request_is_shown(busy):
    assert busy.get(f"/usage/{record(9).id}").status == 404
    assert busy.get("/usage/nothing").status == 404


def test_what_is_not_known_is_said_to_be_unknown(app, alice_there):
    keep(app, ALICE, 1)
    with app.app_context():
        db.session.execute(db.text("UPDATE records SET cost_nanos = NULL, price = NULL, usage_state = 'estimated'"))
        db.session.commit()
    page = alice_there.get(f"/usage/{record(1).id}")
    assert "Nobody knows what it cost" in page.text
    assert "estimated from sizes" in page.text


def test_conversations_are_grouped(busy):
    page = busy.get("/usage/conversations")
    assert page.soup.find("a", href="/usage?conversation=" + "c" * 32)
    assert "$0.000037" in page.text


@pytest.fixture
def asked_of_sums(app):
    """The queries that were asked of sums."""
    with app.app_context():
        engine = db.engine
    found = []

    def note(_connection, _cursor, statement, *_more):
        if "FROM rollups" in statement:
            found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


def rows(answer):
    return list(csv.reader(io.StringIO(answer.html)))


def test_requests_are_exported_as_the_page_filters_them(busy):
    answer = busy.get("/usage/requests.csv?status=ok")
    head, *found = rows(answer)
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert [row[head.index("model")] for row in found] == ["model-3", "model-2", "model-1"]
    assert found[0][head.index("cost_usd")] == "0.000037000"
    assert "upstream_id" not in head


@pytest.mark.acceptance("C-11")
@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_cell_is_a_formula(app, alice_there, text):
    keep(app, ALICE, 1, model=text)
    head, row = rows(alice_there.get("/usage/requests.csv"))
    assert row[head.index("model")] == f"'{text}"


@pytest.mark.parametrize("apart", [";", "\t", ";\t", ";;"])
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d"])
def test_no_part_of_a_cell_is_a_formula_where_a_spreadsheet_parts_cells_otherwise(app, alice_there, apart, sign):
    """In half of Europe a file of commas is opened as one of semicolons."""
    keep(app, ALICE, 1, model=f"m{apart}{sign}HYPERLINK(1)")
    answer = alice_there.get("/usage/requests.csv")
    assert f"m{apart}'{sign}HYPERLINK(1)" in answer.html


def test_a_sum_without_a_price_says_so(app, alice_there):
    from app.models.base import utcnow

    keep(app, ALICE, 1, at=utcnow().timestamp())
    with app.app_context(), db.engine.begin() as connection:
        user = accounts.by_email(ALICE)
        posting.post(connection, [record(2, user_id=user.id, at=utcnow().timestamp())], again=False)
    head, row = rows(alice_there.get("/usage/days.csv"))
    told = [row[head.index(name)] for name in ("requests", "cost_usd", "requests_without_price")]
    assert told == ["2", "0.000037000", "1"]


def test_sums_are_exported(app, alice_there):
    from app.models.base import utcnow

    keep(app, ALICE, 1, 2, at=utcnow().timestamp())
    for step in ("hours", "days"):
        head, row = rows(alice_there.get(f"/usage/{step}.csv"))
        assert (head[0], row[head.index("requests")], row[head.index("cost_usd")]) == (step[:-1], "2", "0.000074000")


def test_the_last_requests_of_the_dashboard_lead_to_their_pages(busy):
    assert busy.get("/").soup.main.find("a", href=f"/usage/{record(4).id}")


def test_an_export_of_sums_begins_before_it_ends(app, alice_there, asked_of_sums):
    """A month by the hour is read a day at a time, and each day is sent before the next is asked for."""
    from app.models.base import utcnow

    keep(app, ALICE, *range(1, 40), at=utcnow().timestamp() - 20 * 86_400)
    keep(app, ALICE, *range(40, 50), at=utcnow().timestamp())
    answer = alice_there.client.get("/usage/hours.csv", buffered=False)
    begun, chunks, lines = len(asked_of_sums), answer.iter_encoded(), b""
    assert begun == 0
    read = []
    for chunk in chunks:
        lines += chunk
        if not read or len(asked_of_sums) > read[-1]:
            read.append(len(asked_of_sums))
    assert read == list(range(21 + 1)), "a query, a piece"
    assert len(lines.splitlines()) == 3
    answer.close()
