"""A whole house on MySQL: owners, records, sums, revocation and a killed worker are as on the other databases."""

import json
import os
import signal
import threading

import pytest

from app.models import Token
from app.services import tokens
from tests import live
from tests.live import until

pytestmark = pytest.mark.slow
ASKED = {"model": "sim-1", "input": "hello"}


@pytest.fixture(scope="module")
def house(tmp_path_factory, worker_name):
    folder = tmp_path_factory.mktemp("mysql")
    name = f"realms_live_{worker_name}_{os.getpid()}"
    with live.open_provider() as provider, live.database("mysql", folder, name) as url:
        with live.open_house(folder, url, provider) as running:
            yield running


def created(house, who="alice", **more):
    answer = house.post("/v1/responses", ASKED | more, who=who)
    assert answer.status == 200, answer.body
    return answer


def test_an_object_is_its_makers_alone_whatever_looks_like_its_id(house):
    made = created(house).json()["id"]
    assert house.ask("GET", f"/v1/responses/{made}").status == 200
    stranger = house.ask("GET", f"/v1/responses/{made}", who="bob")
    assert stranger.status == 404
    assert house.ask("GET", f"/v1/responses/{made.swapcase()}").status == 404
    follow_up = house.post("/v1/responses", ASKED | {"previous_response_id": made}, who="bob")
    assert follow_up.status == 400
    assert house.ask("DELETE", f"/v1/responses/{made}").status == 200
    assert house.ask("GET", f"/v1/responses/{made}").status == 404


def test_a_stream_is_owned_and_counted_once(house):
    answer = created(house, stream=True)
    assert answer.body.count(b"event: response.completed") == 1
    record = house.record(answer.headers["x-request-id"])
    assert (record["status"], record["end"], record["usage_state"]) == (200, "completed", "reported")
    assert house.rows(f"SELECT COUNT(*) AS n FROM attempts WHERE record_id = '{record['id'].decode()}'") == [{"n": 1}]
    first = json.loads(answer.body.split(b"data: ", 2)[1].split(b"\n")[0])
    assert house.ask("GET", f"/v1/responses/{first['response']['id']}").status == 200


def test_many_at_once_are_each_owned_and_counted_once(house):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(created(house, who="carol"))) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    carol = house.users["carol"]
    counted = f"SELECT COUNT(*) AS n FROM records WHERE user_id = {carol}"
    summed = f"SELECT CAST(SUM(requests) AS SIGNED) AS n FROM rollups WHERE user_id = {carol}"
    until(lambda: house.rows(counted) == house.rows(summed) == [{"n": 24}])
    for answer in answers:
        assert house.ask("GET", f"/v1/responses/{answer.json()['id']}", who="carol").status == 200


def test_what_a_killed_worker_left_in_its_journal_comes_in(house):
    answer = created(house)
    os.kill(house.workers()[0], signal.SIGKILL)
    assert house.record(answer.headers["x-request-id"])["end"] == "completed"
    until(lambda: created(house), seconds=20)


def test_a_revoked_token_is_refused_within_a_second(house):
    def revoke():
        alice2 = tokens.list_all()
        found: Token = next(token for token in alice2 if token.name == "second")
        return tokens.revoke(found.id, actor=None, owner=None)

    assert house.ask("GET", "/v1/models", who="alice2").status == 200
    assert house.changed(revoke)
    assert house.ask("GET", "/v1/models", who="alice2").status == 401
