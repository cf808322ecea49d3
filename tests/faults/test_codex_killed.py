"""A worker that is killed between a renewal's answer and its commit has lost a token; one that is told to stop hasn't."""

import os
import signal

import pytest

from tests.contract.codex import CROWD, connect, open_codex, refreshes
from tests.live import until

BODY = {"model": CROWD, "input": "hi"}


@pytest.mark.fault("X-24")
@pytest.mark.acceptance("E-11")
def test_a_renewal_that_dies_is_tried_once_more_and_then_asks_for_a_person(sim, tmp_path):
    with open_codex(tmp_path, sim) as house:
        before = refreshes(sim)
        # The provider has spent the token, and its answer never comes.
        sim.control("POST", "faults", {"fault": "hang_headers", "path": "/oauth/token", "times": 1})
        connect(house, sim, "killed@example.com", life=1.0)  # after the fault: it is renewed at once
        until(lambda: house.rows("SELECT asked FROM codex_accounts")[0]["asked"])
        until(lambda: refreshes(sim) == before + 1)
        (worker,) = house.workers()
        os.kill(worker, signal.SIGKILL)
        until(lambda: house.workers() not in ([], [worker]), seconds=30)
        until(lambda: refreshes(sim) == before + 2, seconds=30)
        state = "SELECT state, enabled FROM codex_accounts JOIN credentials ON id = credential_id"
        until(lambda: [tuple(row.values()) for row in house.rows(state)] == [("lost", 0)])
        assert "codex_account_needs_reconnect" in house.log.read_text()
        until(lambda: house.post("/v1/responses", BODY).status == 404)
        assert refreshes(sim) == before + 2, "once, and never in a loop"
        connect(house, sim, "killed@example.com")
        assert house.post("/v1/responses", BODY).status == 200


@pytest.mark.fault("X-24")
def test_a_worker_that_is_told_to_stop_keeps_the_tokens_it_has_asked_for(sim, tmp_path):
    with open_codex(tmp_path, sim) as house:
        before = refreshes(sim)
        sim.control("POST", "faults", {"fault": "ttfb=2", "path": "/oauth/token", "times": 1})
        connect(house, sim, "stopped@example.com", life=1.0)
        until(lambda: refreshes(sim) == before + 1)  # spent, and the answer takes two seconds more
        house.process.send_signal(signal.SIGTERM)
        house.process.wait(20)
        (account,) = house.rows("SELECT asked, ends_at - renew_at AS ahead FROM codex_accounts")
        assert account["asked"] == 0
        assert account["ahead"] > 1000
