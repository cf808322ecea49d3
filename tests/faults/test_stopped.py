"""A call that its owner ends with its token is told so, in its own protocol, and closed at the upstream."""

import pytest

from app.services import accounts, tokens
from tests.faults.clients import TALKS, Client, name_of
from tests.live import until


@pytest.mark.acceptance("A-7")
@pytest.mark.parametrize("talk", TALKS, ids=name_of)
@pytest.mark.parametrize(("fault", "end"), [("hang_accept", "refused"), ("hang_after:5", "stopped")])
def test_revoking_a_token_can_end_what_runs(house, sim, talk, fault, end):
    def mint():
        alice = accounts.get_user(house.users["alice"])
        minted = tokens.mint(alice, name="short-lived", actor=alice)
        house.tokens["short-lived"] = minted.secret
        return minted.token.id

    token_id = house.changed(mint)
    since = sim.count()
    with Client(house, who="short-lived") as client:
        client.send(talk, f"fault={fault}", stream=True)
        request = until(lambda: sim.requests(since))[0]
        house.changed(lambda: tokens.revoke(token_id, actor=None, owner=None, cut=True))
        assert b"ended by its owner" in client.rest()
        ended = until(lambda: (now := sim.requests(request["n"] - 1)[0])["end"] != "open" and now)
        assert ended["end"] == "client_left"
        record = house.record(client.request_id)
        assert (record["end"], record["reason"]) == (end, "call_ended")
