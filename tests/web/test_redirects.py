"""Where a form may send the browser next."""

import pytest

from app.web.redirects import safe_next
from tests.conftest import PASSWORD
from tests.rooms import ALICE

BAD = [
    "//evil",
    "/\\evil",
    "/\t/evil",
    "/\n/evil",
    "https:evil",
    "https://evil.example",
    "///evil",
    "javascript:alert(1)",
    "%2f%2fevil",
    "/%2fevil",
    "/%5cevil",
    "/%252fevil",
    "evil",
    " /evil",
    "/" + "a" * 5000,
    "",
    None,
]


@pytest.mark.acceptance("C-8")
@pytest.mark.parametrize("target", BAD)
def test_elsewhere_is_home(target):
    assert safe_next(target) == "/"


@pytest.mark.parametrize("target", ["/", "/tokens", "/admin/models?name=gpt%2F5", "/connect?model=模型"])
def test_our_own_paths_stay(target):
    assert safe_next(target) == target


@pytest.mark.acceptance("C-8")
@pytest.mark.parametrize("target", [bad for bad in BAD if bad])
def test_signing_in_never_leads_elsewhere(stranger, target):
    page = stranger.client.get("/login", query_string={"next": target})
    assert page.status_code == 200
    form = {"email": ALICE, "password": PASSWORD, "csrf_token": stranger.token()}
    answer = stranger.client.post("/login", query_string={"next": target}, data=form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


def test_signing_in_leads_to_where_one_wanted(stranger):
    wanted = stranger.get("/connect?model=x").location
    assert wanted == "/login?next=/connect?model%3Dx"
    assert stranger.submit(wanted, {"email": ALICE, "password": PASSWORD}).location == "/connect?model=x"
