"""ChatGPT accounts as clients meet them: Responses, streamed or whole, from a backend that does only one of both."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from app.services import policies
from tests.contract.codex import CROWD, MODEL, connect, forget, open_codex, refreshes
from tests.live import until
from tests.proxying import proxy

BODY = {"model": MODEL, "input": "hi"}
ON_CROWD = {"model": CROWD, "input": "hi"}
CROWDED = "WHERE codex_accounts.upstream_id = (SELECT id FROM upstreams WHERE name = 'crowd')"


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    with open_codex(tmp_path_factory.mktemp("codex"), provider) as running:
        yield running


@pytest.fixture(scope="module")
def connected(house, provider):
    return connect(house, provider, "one@example.com", to="codex")[0]


@pytest.fixture
def account(connected, sim):
    """The one account of `codex`, at a backend without faults."""
    return connected


@pytest.fixture
def crowd(house, sim):
    """Connects accounts to an upstream of their own."""
    forget(house)
    yield lambda *emails, **more: connect(house, sim, *emails, **more)
    forget(house)


@pytest.fixture
def client(house):
    with openai.OpenAI(api_key=house.tokens["alice"], base_url=f"{house.url}/v1", max_retries=0) as made:
        yield made


def sent(reached):
    """The last request's headers and body at the provider."""
    last = [request for request in reached() if "/codex/" in request["path"]][-1]
    return {name.lower(): value for name, value in last["headers"]}, json.loads(last["body"])


def test_a_stream_through_the_sdk(client, account):
    with client.responses.stream(model=MODEL, input="hi") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text


def test_a_plain_answer_through_the_sdk_is_gathered_from_the_stream(client, account, reached):
    answer = client.responses.create(model=MODEL, input="hi", temperature=0.5, max_output_tokens=99, user="u")
    assert answer.output_text
    assert answer.usage.total_tokens > 0
    headers, body = sent(reached)
    assert headers["accept"] == "text/event-stream"
    assert headers["chatgpt-account-id"] == account["account_id"]
    assert headers["authorization"] == f"Bearer {account['access_token']}"
    assert (body["stream"], body["store"]) == (True, False)
    assert not {"temperature", "max_output_tokens", "user"} & body.keys()


@pytest.mark.parametrize("fault", ["type:application/json", "type:text/plain", "crlf", "no_event_lines", "split:7"])
def test_events_are_told_by_themselves_whatever_type_they_come_under(house, account, sim, fault):
    sim.control("POST", "faults", {"fault": fault, "path": "/codex/"})
    answer = house.post("/v1/responses", BODY)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["status"] == "completed"


@pytest.mark.parametrize(("fault", "status"), [("no_terminal:3", 502), ("error_after:3:500", 502)])
def test_a_stream_without_its_end_is_no_answer(house, account, sim, fault, status):
    sim.control("POST", "faults", {"fault": fault, "path": "/codex/"})
    answer = house.post("/v1/responses", BODY)
    assert answer.status == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_compaction_through_the_sdk(client, account, reached):
    answer = client.responses.compact(model=MODEL, input=[{"role": "user", "content": "long"}])
    assert answer.output
    _, body = sent(reached)
    assert not {"store", "stream", "include"} & body.keys()


@pytest.mark.acceptance("B-5", "B-11")
@pytest.mark.parametrize("store", [{}, {"store": False}, {"store": True}], ids=str)
@pytest.mark.parametrize("stream", [False, True])
def test_what_it_makes_is_its_owners_and_kept_nowhere(house, account, reached, store, stream):
    answer = house.post("/v1/responses", BODY | store | {"stream": stream})
    found = answer.body.decode().partition('"id":"resp')[2].partition('"')[0]
    path = f"/v1/responses/resp{found}"
    reached()
    for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        mine = house.ask(method, path + more)
        assert (mine.status, mine.json()["error"]["code"]) == (501, "unsupported_by_upstream")
        assert house.ask(method, path + more, who="bob").status == 404
    going_on = house.post("/v1/responses", BODY | {"previous_response_id": f"resp{found}"})
    assert (going_on.status, going_on.json()["error"]["param"]) == (400, "previous_response_id")
    assert reached() == []


def test_endpoints_that_it_lacks_are_not_offered(house, account):
    assert house.post("/v1/responses/input_tokens", BODY).status in {404, 501}
    assert house.post("/v1/chat/completions", {"model": MODEL, "messages": []}).status == 404


@pytest.mark.acceptance("E-11")
def test_fifty_calls_with_an_outdated_token_are_one_renewal(house, sim, crowd):
    before = refreshes(sim)
    crowd("old@example.com", expires_in=1)  # over by now: connecting waits a second, too
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: house.post("/v1/responses", ON_CROWD), range(50)))
    assert [answer.status for answer in answers] == [200] * 50
    assert refreshes(sim) - before == 1


def test_accounts_are_called_and_renewed_through_their_upstreams_proxy_and_never_around_it(house, sim, crowd, tmp_path):
    upstream_id = house.upstreams["crowd"]
    with proxy(tmp_path, "http", login="user:geheim") as through:
        change = {"actor": None, "proxy_login": "user:geheim"}
        house.changed(lambda: policies.set_proxy(upstream_id, through.address, **change))
        before = refreshes(sim)
        crowd("behind@example.com", expires_in=1)
        assert house.post("/v1/responses", ON_CROWD).status == 200
        said = [first.split(" HTTP")[0] for first in through.said()]
        assert refreshes(sim) - before == 1
        assert said.count("POST /oauth/token") == 1
        assert said.count("POST /backend-api/codex/responses") == 2
    before, reached = refreshes(sim), sim.count()
    crowd("cut-off@example.com", expires_in=1, life=1.0)
    assert house.post("/v1/responses", ON_CROWD).status == 502
    until(lambda: "codex_renewal_failed" in house.log.read_text())
    assert (refreshes(sim), sim.count()) == (before, reached)
    house.changed(lambda: policies.set_proxy(upstream_id, "", actor=None))


def test_tokens_are_renewed_ahead_of_their_end(house, sim, crowd):
    before = refreshes(sim)
    crowd("due@example.com", life=1.0)
    until(lambda: refreshes(sim) - before == 1)
    assert house.post("/v1/responses", ON_CROWD).status == 200


def test_a_token_is_renewed_once_however_often_it_is_refused(house, sim, crowd):
    before = refreshes(sim)
    crowd("odd@example.com")
    sim.control("POST", "faults", {"fault": "status=401", "path": "/codex/"})
    answers = [house.post("/v1/responses", ON_CROWD) for _ in range(6)]
    assert {answer.status for answer in answers} == {502}
    assert refreshes(sim) - before <= 3, "three in a minute at most"


def test_a_connection_that_was_taken_back_waits_for_a_person(house, sim, crowd):
    crowd("gone@example.com", expires_in=1)
    before = refreshes(sim)
    sim.control("POST", "codex", {"email": "gone@example.com"})
    sim.control("POST", "faults", {"fault": "status=400,code=invalid_grant", "path": "/oauth/token"})
    assert house.post("/v1/responses", ON_CROWD).status == 502
    account = house.rows(f"SELECT state, enabled FROM codex_accounts JOIN credentials ON id = credential_id {CROWDED}")
    assert [(row["state"], row["enabled"]) for row in account] == [("refused", 0)]
    assert "codex_account_needs_reconnect" in house.log.read_text()
    until(lambda: house.post("/v1/responses", ON_CROWD).status == 404)
    assert refreshes(sim) == before, "refused before it counted, and not asked again"


def test_a_provider_that_is_away_is_asked_again_later(house, sim, crowd):
    crowd("away@example.com", expires_in=1)
    sim.control("POST", "faults", {"fault": "status=500", "path": "/oauth/token"})
    answers = [house.post("/v1/responses", ON_CROWD).status for _ in range(3)]
    assert answers == [502] * 3
    assert [row["failures"] for row in house.rows(f"SELECT failures FROM codex_accounts {CROWDED}")] == [1]
    sim.control("DELETE", "faults")
    until(lambda: house.post("/v1/responses", ON_CROWD).status == 200)


def test_who_is_used_up_is_left_out_and_nobody_notices(house, sim, crowd):
    crowd("full@example.com", "spare@example.com")
    sim.control("POST", "codex", {"email": "full@example.com", "quota": {"limit_reached": True}})
    assert [house.post("/v1/responses", ON_CROWD).status for _ in range(4)] == [200] * 4


def test_a_conversation_of_a_used_up_account_goes_on_with_another(house, sim, crowd, reached):
    """With what it can read: the first account's reasoning is left out, what that one compacted is waited for."""
    emails = ["one@spent.example", "two@spent.example"]
    ids = [told["account_id"] for told in crowd(*emails)]
    ask = ON_CROWD | {"prompt_cache_key": "long", "input": [{"role": "user", "content": "[[think]] hi"}]}
    first = house.post("/v1/responses", ask).json()
    compacted = house.post("/v1/responses/compact", ask).json()["output"]
    own = ids.index(sent(reached)[0]["chatgpt-account-id"])
    sim.control("POST", "codex", {"email": emails[own], "quota": {"limit_reached": True, "primary_reset": 900}})
    more = [{"role": "user", "content": "go on"}]
    answer = house.post("/v1/responses", ask | {"input": compacted + more})
    assert answer.status == 503
    assert "encrypted state" in answer.json()["error"]["message"]
    answer = house.post("/v1/responses", ask | {"input": ask["input"] + first["output"] + more}, x_request_id="spent-1")
    assert answer.status == 200
    assert sent(reached)[0]["chatgpt-account-id"] == ids[1 - own]
    record = house.record("spent-1")["id"]
    tries = house.rows(f"SELECT error FROM attempts WHERE record_id = '{record}' ORDER BY n")
    assert [each["error"] for each in tries] == ["quota", "mended_unsealed", ""]


def test_new_conversations_go_where_most_is_left(house, sim, crowd, reached):
    _, much = crowd("little@example.com", "much@example.com")
    sim.control("POST", "codex", {"email": "little@example.com", "quota": {"primary_used": 95.0}})
    sim.control("POST", "codex", {"email": "much@example.com", "quota": {"primary_used": 1.0, "secondary_used": 1.0}})
    for n in range(6):  # both are asked, and tell
        house.post("/v1/responses", ON_CROWD | {"prompt_cache_key": f"a{n}"})
    reached()
    for n in range(6):
        house.post("/v1/responses", ON_CROWD | {"prompt_cache_key": f"b{n}"})
    accounts = {dict(map(tuple, request["headers"]))["chatgpt-account-id"] for request in reached()}
    assert accounts == {much["account_id"]}
    until(lambda: len(house.rows(f"SELECT 1 FROM codex_accounts {CROWDED} AND quota IS NOT NULL")) == 2)


def test_neither_tokens_nor_account_reach_clients_or_the_log(house, account):
    answers = [house.post("/v1/responses", BODY | {"stream": stream}) for stream in (True, False)]
    answers.append(house.post("/v1/responses", BODY | {"model": f"{MODEL}+status=403"}))
    text = house.log.read_text() + "".join(str(answer.headers) + answer.body.decode() for answer in answers)
    for secret in ("access_token", "refresh_token", "account_id"):
        assert account[secret] not in text
    assert "x-codex-primary" not in text


def test_eight_windows_start_at_once_on_an_account_that_comes_back(house, sim, account):
    sim.control("POST", "faults", {"fault": "status=429,retry_after=1", "path": "/codex/", "times": 1})
    house.post("/v1/responses", BODY)
    time.sleep(1.0)  # until the moment that the backend named
    with ThreadPoolExecutor(8) as pool:
        bodies = [BODY | {"prompt_cache_key": f"w{n}", "stream": True} for n in range(8)]
        answers = list(pool.map(lambda body: house.post("/v1/responses", body), bodies))
    assert [answer.status for answer in answers] == [200] * 8
