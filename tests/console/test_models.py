"""What may be asked for, whether a token is good, and the reference."""

from app.protocol.price import Rates, Tariff
from app.services import prices


def test_models_show_their_endpoints(alice_there, furnished):
    page = alice_there.get("/catalogue")
    assert "gpt-5 /v1/responses /v1/chat/completions – – –" in page.text


def test_models_show_what_they_cost_now(app, alice_there, furnished):
    with app.app_context():
        prices.put(1, Tariff(Rates(input=1_250_000_000, output=10_000_000_000)), actor=None)
    row = alice_there.get("/catalogue").soup.find("th", string="gpt-5").parent
    assert [cell.get_text(strip=True) for cell in row.select(".num")] == ["$1.25", "$1.25", "$10.00"]


def test_the_holder_of_a_token_learns_what_it_is_good_for(stranger, furnished):
    page = stranger.submit("/check", {"token": furnished})
    assert "This token is good" in page.text
    assert "gpt-5, small" in page.text
    assert furnished not in page.html
    page = stranger.submit("/check", {"token": "sk_made_up"})
    assert "unknown, revoked or expired" in page.text
    assert "sk_made_up" not in page.html


def test_the_reference_has_every_operation(stranger):
    page = stranger.get("/docs")
    for operation in ("POST /v1/responses", "GET /v1/models", "POST /v1/messages"):
        assert operation in page.text
    assert "`" not in page.text
    assert page.soup.find("code", string="stream: true"), "what its source marks as code is shown so"
