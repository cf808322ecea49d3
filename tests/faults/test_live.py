"""Calls under way, seen and ended from a page that none of the workers serves: two of them, with their Redis away."""

import os
import signal
import time

import pytest

from tests import live
from tests.faults.clients import CHAT, RESPONSES, TALKS, Client, events
from tests.live import until
from tests.rooms import Browser

OPEN = "fault=hang_after:5"
ENDLESS = "events=8000,bytes=1000"
SOON_S = 1.0


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory, worker_name):
    folder, away = tmp_path_factory.mktemp("live"), f"redis://127.0.0.1:{live.free_port()}/0"
    with live.database("postgresql", folder, f"realms_live_{worker_name}_{os.getpid()}") as url:
        with live.open_house(folder, url, provider, workers="2", drain_s="3", redis_url=away) as running:
            yield running


@pytest.fixture(scope="module")
def admin_there(house):
    return Browser(house.app).sign_in("admin@example.com", live.PASSWORD)


@pytest.fixture(scope="module")
def alice_there(house):
    return Browser(house.app).sign_in("alice@example.com", live.PASSWORD)


@pytest.fixture
def many(house, sim, admin_there):
    """Eleven streams of alice's and one of bob's, half of them with each worker."""
    clients = []
    for other, people in zip(house.workers(), (["alice"] * 6, [*["alice"] * 5, "bob"]), strict=True):
        os.kill(other, signal.SIGSTOP)
        try:
            opened = [Client(house, who=who).send(TALKS[n % 3], OPEN) for n, who in enumerate(people)]
            for client in opened:
                client.read_until(b"\n\n", 2)
        finally:
            os.kill(other, signal.SIGCONT)
        clients += opened
    yield clients
    for client in clients:
        client.leave()
    shown(admin_there, "/admin/live", 0)


def rows(page):
    return page.soup.select("main tbody tr")


def shown(browser, path, count):
    """The rows of a page once there are so many."""
    (found,) = until(lambda: len(found := rows(browser.get(path))) == count and [found], seconds=5, every=0.1)
    return found


def end(browser, row):
    """Press the button of a row."""
    form = row.form
    return browser.post(form["action"], {"csrf_token": form.find(attrs={"name": "csrf_token"})["value"]})


def cell(row, name):
    return row.find(attrs={"data-label": name}).get_text(" ", strip=True)


def test_everybodys_calls_are_seen_and_each_is_ended_with_its_protocols_error(house, many, admin_there):
    found = shown(admin_there, "/admin/live", len(many))
    assert {cell(row, "User") for row in found} == {"alice@example.com", "bob@example.com"}
    assert {cell(row, "Upstream") for row in found} == {"main", "claude"}
    places = [cell(row, "Upstream") for row in found]
    for name in ("main", "claude"):
        there = rows(admin_there.get(f"/admin/live?upstream={house.upstreams[name]}"))
        assert len(there) == places.count(name), "a number of calls at an upstream leads to them"
    assert {cell(row, "State") for row in found} == {"is answered"}
    assert all(cell(row, "Events") != "0" and cell(row, "Sent") != "0 B" for row in found)
    for row in found:
        end(admin_there, row)
    for client in many:
        name, data = events(client.rest())[-1]
        assert "ended by its owner or by an administrator" in str(data)
        assert name in {"error", ""}
    for client in many:
        record = house.record(client.request_id)
        assert (record["end"], record["reason"]) == ("stopped", "call_ended")
    audited = {row["target"] for row in house.rows("SELECT target FROM audit_entries WHERE action = 'call.end'")}
    assert {f"call {row.form['action'].split('/')[-2]}" for row in found} <= audited


def test_people_see_and_end_their_own_alone(house, many, alice_there, admin_there):
    mine = shown(alice_there, "/usage/live", 11)
    text = alice_there.get("/usage/live").text
    assert "bob@" not in text
    assert "main" not in text, "no upstream is named to users"
    theirs = next(row for row in shown(admin_there, "/admin/live", 12) if cell(row, "User").startswith("bob"))
    number = theirs.form["action"].split("/")[-2]
    token = mine[0].form.find(attrs={"name": "csrf_token"})["value"]
    answer = alice_there.post(f"/usage/live/{number}/end", {"csrf_token": token})
    assert "no such call" in alice_there.follow(answer).text
    shown(alice_there, "/usage/live", 11)
    began = time.monotonic()
    end(alice_there, mine[0])
    query = "SELECT id FROM records WHERE records.end = 'stopped' AND id IN ('{}', '{}')"
    (record,) = until(lambda: house.rows(query.format(number, mine[0].form["action"].split("/")[-2])))
    assert time.monotonic() - began < 10 * SOON_S
    assert record["id"] != number
    shown(alice_there, "/usage/live", 10)


@pytest.mark.parametrize("talk", [RESPONSES, CHAT])
def test_one_whose_client_reads_nothing_is_ended_too(house, sim, talk, alice_there):
    with Client(house, window=4096) as client:
        client.send(talk, ENDLESS)
        (row,) = until(
            lambda: [r for r in rows(alice_there.get("/usage/live")) if cell(r, "State") == "waits for the client"],
            seconds=10,
            every=0.2,
        )
        number = row.form["action"].split("/")[-2]
        end(alice_there, row)
        (record,) = until(lambda: house.rows(f"SELECT * FROM records WHERE id = '{number}'"), seconds=5)
        assert record["end"] == "stopped"


def test_an_open_page_gets_the_part_that_changes(house, alice_there):
    part = alice_there.get("/usage/live", headers={"HX-Request": "true"})
    assert part.status == 200
    assert not part.soup.find("h1")
    assert part.soup.select_one(".empty, table")
    gone = Browser(house.app).get("/usage/live", headers={"HX-Request": "true"})
    assert (gone.status, gone.headers["HX-Refresh"], gone.html) == (401, "true", "")
