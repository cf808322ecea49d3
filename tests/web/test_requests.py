"""Records by one page in both rooms: redacted for people, whole for administrators."""

from tests.console.test_usage import busy, keep
from tests.rooms import ALICE
from tests.services.writing import record

__all__ = ["busy"]


def test_a_request_is_found_by_the_id_that_its_caller_was_told(busy):
    for named in ("req_1", record(1).id):
        assert busy.get(f"/usage?id={named}").location == f"/usage/{record(1).id}"
    for named in ("req_9", record(9).id, "nothing"):
        page = busy.get(f"/usage?id={named}")
        assert page.status == 200
        assert "No request has this id" in page.text, "not even that somebody else has it"


def test_what_was_left_out_is_told_without_its_name(app, alice_there, admin_there, furnished):
    keep(app, ALICE, 7, left_out=(("u:1", "rate_limited"), ("r:1:gpt-5", "not_found")))
    page = alice_there.get(f"/usage/{record(7).id}")
    told = page.soup.find("caption", string="Attempts").parent.get_text(" ")
    assert told.count("left out") == 2
    assert "rate_limited" in told
    assert "main" not in told
    whole = admin_there.get(f"/admin/requests/{record(7).id}").soup.find("caption", string="Attempts").parent
    assert [row.td.get_text(strip=True) for row in whole.select("tr.off")] == ["main", "main / gpt-5"]


def test_sums_lead_to_their_rows(busy):
    first = busy.get("/usage").soup.find("caption", string="Sums").parent.tbody.tr
    for link in first.find_all("a"):
        assert "since=" in link["href"]
        assert busy.get(link["href"]).status == 200
    assert "status=error" in first.find_all("a")[1]["href"]
