"""Static files are sent compressed to who takes that; and no page weighs much, whatever it is opened with."""

import gzip
from pathlib import Path

import pytest

from app.extensions import db
from app.models import Record
from app.models.base import utcnow
from tests.web.test_access import GONE, OPEN, RULES, address, is_file, rules

STATIC = Path(__file__).parents[2] / "static"
COLD_MOST = 150_000
"""Bytes of a page and all that it loads, into an empty cache."""


@pytest.fixture
def fetch(app):
    def fetch(path, **headers):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = app.test_client().get(path, headers=sent)
        answer.get_data()
        answer.close()
        return answer

    return fetch


def test_text_is_compressed_where_it_is_taken(fetch):
    path = "/static/vendor/pico.min.css"
    plain, small = fetch(path), fetch(path, accept_encoding="gzip, br")
    again = fetch(path, accept_encoding="gzip", if_none_match=small.headers["ETag"])
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == plain.data == (STATIC / "vendor" / "pico.min.css").read_bytes()
    assert len(small.data) * 5 < len(plain.data)
    assert int(small.headers["Content-Length"]) == len(small.data)
    assert "Accept-Encoding" in plain.headers["Vary"] and "Accept-Encoding" in small.headers["Vary"]
    assert small.headers["ETag"] != plain.headers["ETag"]
    assert again.status_code in {200, 304}
    assert fetch(path, accept_encoding="gzip;q=0").headers.get("Content-Encoding") is None
    assert fetch(path, accept_encoding="gzip", range="bytes=0-9").data == plain.data[:10]


def test_pages_are_never_compressed(fetch):
    assert "Content-Encoding" not in fetch("/login", accept_encoding="gzip").headers


def test_no_page_weighs_more_than_150_kb_into_an_empty_cache(app, admin_there, furnished, fetch):
    with app.app_context():
        shared = {"request_id": "r" * 32, "user_id": 2, "token_id": 1, "endpoint": "responses.create"}
        shared |= {"protocol": "openai", "status": 500, "end": "failed", "reason": "x" * 40, "total_ms": 1}
        db.session.add_all(Record(id=f"heavy-{n}", at=utcnow(), model=f"model-{n}", **shared) for n in range(60))
        db.session.commit()
    sizes = {}

    def weight(path):
        if path not in sizes:
            sizes[path] = len(fetch(path, accept_encoding="gzip").data)
        return sizes[path]

    heavy = {}
    for rule in rules(app):
        if (
            "GET" not in rule.methods
            or rule.rule in GONE
            or is_file(rule)
            or {"token_id", "record_id"} & rule.arguments
        ):
            continue
        page = admin_there.get(address(rule))
        assert page.status == 200 or RULES[rule.rule] is OPEN, rule.rule
        loads = {each.get("src") or each.get("href") for each in page.soup.select("script[src], link[href], img[src]")}
        total = len(page.html.encode()) + sum(map(weight, loads))
        if total > COLD_MOST:
            heavy[rule.rule] = total
    assert heavy == {}
    assert len(sizes) >= 4
