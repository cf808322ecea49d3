"""Nothing outside the allow-lists crosses, either way; what may cross does so unchanged."""

import json

import pytest

from app.protocol.endpoints import ObjectKind
from tests.contract.objects import make
from tests.live import ask

CHAT = {"model": "sim-1", "messages": [{"role": "user", "content": "x"}]}
RESPONSE = {"model": "sim-1", "input": "x"}
MESSAGE = {"model": "claude-1", "max_tokens": 9, "messages": CHAT["messages"]}
CREATES = {"/v1/responses": RESPONSE, "/v1/chat/completions": CHAT, "/v1/messages": MESSAGE}
every_create = pytest.mark.parametrize("path", CREATES)

STAYS = {
    "cookie": "realms=stolen",
    "openai-organization": "org-mine",
    "openai-project": "proj_mine",
    "forwarded": "for=1.2.3.4",
    "x-forwarded-for": "1.2.3.4",
    "x-forwarded-host": "evil.example",
    "x-real-ip": "1.2.3.4",
    "proxy-authorization": "Basic eA==",
    "x-request-id": "client-id",
    "referer": "https://console.example",
    "origin": "https://app.example",
    "accept-language": "zh",
    "sec-fetch-mode": "cors",
    "te": "trailers",
    "x-unknown": "x",
    "api-key": "azure",
    "x-goog-api-key": "google",
    "anthropic-organization-id": "mine",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
CROSSES = {
    "accept": "application/json, text/event-stream",
    "user-agent": "codex_exec/0.169.0 (Debian 12; x86_64)",
    "openai-beta": "responses=experimental",
    "anthropic-version": "2026-10-21",
    "anthropic-beta": "a-2025-01-01,b-2025-02-02",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-stainless-lang": "python",
    "x-stainless-retry-count": "0",
    "session-id": "s-1",
    "thread-id": "t-1",
    "x-client-request-id": "r-1",
    "originator": "codex_exec",
    "version": "0.169.0",
    "x-codex-window-id": "w:1",
    "x-codex-turn-state": "opaque==",
    "x-openai-subagent": "review",
    "x-app": "cli",
    "x-claude-code-session-id": "c-1",
}
OURS = {"host", "content-type", "content-length", "accept-encoding"}
NEVER_BACK = (
    "set-cookie",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "alt-svc",
    "strict-transport-security",
)
NEVER_BACK_PREFIXES = ("cf-", "x-ratelimit-", "anthropic-ratelimit-", "access-control-")


def spelled(headers):
    return {name.replace("-", "_"): value for name, value in headers.items()}


def arrived(reached):
    (seen,) = reached()
    names = [name for name, _ in seen["headers"]]
    assert len(names) == len(set(names)), "no header comes twice"
    return dict(seen["headers"])


@pytest.mark.acceptance("A-4", "E-7")
@every_create
def test_only_what_is_allowed_reaches_the_provider(house, reached, path):
    assert house.post(path, CREATES[path], **spelled(STAYS | CROSSES)).status == 200
    headers = arrived(reached)
    key = {"x-api-key": "sim-claude"} if path == "/v1/messages" else {"authorization": "Bearer sim-main"}
    assert headers.items() >= (CROSSES | key).items()
    assert set(headers) == set(CROSSES) | set(key) | OURS
    assert headers["accept-encoding"] == "identity"
    assert house.tokens["alice"] not in json.dumps(headers)


def test_what_a_client_says_about_an_objects_call_crosses_alike(house, reached):
    object_id = make(house, ObjectKind.RESPONSE)
    reached()
    house.ask("GET", f"/v1/responses/{object_id}", **spelled(STAYS | CROSSES))
    headers = arrived(reached)
    assert set(headers) == set(CROSSES) | {"authorization", "host", "accept-encoding"}


@pytest.mark.acceptance("E-7")
@every_create
def test_a_key_to_be_told_the_same_again_is_each_users_own(house, reached, path):
    """An upstream sees one account: two users with the same key would be told the same answer."""
    crossed = []
    for who in ("alice", "alice", "bob"):
        house.post(path, CREATES[path], who=who, idempotency_key="order-1")
        crossed.append(arrived(reached)["idempotency-key"])
    assert crossed[0] == crossed[1] != crossed[2]
    assert "order-1" not in crossed


@pytest.mark.acceptance("A-4", "E-7")
@pytest.mark.parametrize("mine", ["authorization", "x-api-key"])
@every_create
def test_the_callers_credential_stays_whichever_header_it_came_in(house, reached, path, mine):
    token = house.tokens["alice"]
    both = (
        {"authorization": f"Bearer {token}", "x-api-key": "junk"} if mine == "authorization" else {"x-api-key": token}
    )
    assert ask(house.port, "POST", path, body=CREATES[path], headers=both).status == 200
    headers = arrived(reached)
    assert token not in json.dumps(headers)
    assert "junk" not in json.dumps(headers)
    assert ("x-api-key" in headers) == (path == "/v1/messages")


@pytest.mark.acceptance("E-7")
def test_headers_that_connection_names_stay_here(house, reached):
    headers = {"connection": "keep-alive, x-app", "keep_alive": "timeout=5", "upgrade": "h2c", "x_app": "cli"}
    house.post("/v1/responses", RESPONSE, **headers)
    assert not {"connection", "keep-alive", "upgrade"} & set(arrived(reached))


@pytest.mark.acceptance("E-10", "G-12")
@every_create
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["", "+status=400"])
def test_only_what_is_allowed_reaches_the_client(house, path, stream, fault):
    body = CREATES[path] | {"stream": stream}
    answer = house.post(path, body | {"model": body["model"] + fault})
    leaked = [n for n in answer.headers if n in NEVER_BACK or n.startswith(NEVER_BACK_PREFIXES)]
    assert leaked == []
    assert answer.headers["server"] == "gunicorn"
    allowed = {"server", "date", "connection", "content-type", "content-length", "transfer-encoding", "x-request-id"}
    allowed |= {"openai-processing-ms", "openai-version", "request-id", "cache-control", "x-accel-buffering"}
    assert set(answer.headers) <= allowed
    if path != "/v1/messages":
        assert (answer.headers["openai-processing-ms"], answer.headers["openai-version"]) == ("12", "2020-10-01")
    kind = "text/event-stream; charset=utf-8" if stream and not fault else "application/json"
    assert answer.headers["content-type"] == kind
    if stream and not fault:
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-cache", "no")


def test_the_providers_request_id_is_kept_in_the_record_and_ours_goes_out(house):
    answer = house.post("/v1/responses", RESPONSE, x_request_id="headers-own-id")
    assert answer.headers["x-request-id"] == "headers-own-id"
    record = house.record("headers-own-id")
    attempt = house.rows(f"SELECT upstream_request_id FROM attempts WHERE record_id = '{record['id']}'")[0]
    assert attempt["upstream_request_id"].startswith("req_")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_messages_answer_names_the_request_in_anthropics_header_too(house, path):
    answer = house.post(path, MESSAGE)
    assert answer.headers["request-id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("version", [None, "2023-06-01", "2026-10-21"])
def test_the_anthropic_version_passes_as_it_came_and_has_a_default(house, reached, version):
    house.post("/v1/messages", MESSAGE, **({"anthropic_version": version} if version else {}))
    assert arrived(reached)["anthropic-version"] == (version or "2023-06-01")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/messages", "beta=true"),
        ("/v1/messages/count_tokens", "beta=true"),
        ("/v1/responses", "a=b&a=c&x=%2f%20+&y[]=1"),
        ("/v1/chat/completions", "api-version=2024-10-21"),
    ],
)
def test_the_query_reaches_the_provider_as_it_came(house, reached, path, query):
    body = MESSAGE if "messages" in path else CREATES[path]
    assert house.post(f"{path}?{query}", body).status == 200
    (seen,) = reached()
    assert (seen["path"], seen["query"]) == (path, query)


def test_the_query_of_an_objects_call_reaches_the_provider_as_it_came(house, reached):
    object_id = make(house, ObjectKind.RESPONSE)
    reached()
    query = "include[]=a&include%5B%5D=b&starting_after=3&include_obfuscation=false"
    assert house.ask("GET", f"/v1/responses/{object_id}?{query}").status == 200
    (seen,) = reached()
    assert seen["query"] == query


ODD = (
    b'{ "zeta":[1,2.0,1e300,-0.0,1.10],\t"input" : "\\u0078\\/ \xe5\x93\x8d\\ud83d\\ude00","seed":9223372036854775807,'
    b'"big":123456789012345678901234567890,"model":"MODEL","messages":[{"role":"user","content":"x"}],'
    b'"max_tokens":9,"unknown":{"b":1,"a":{"c":null,"c2":[]}},"":true }\n'
)


@pytest.mark.parametrize("path", [*CREATES, "/v1/responses/compact", "/v1/responses/input_tokens"])
def test_a_body_that_needs_no_change_reaches_the_provider_byte_for_byte(house, reached, path):
    body = ODD.replace(b"MODEL", b"claude-1" if "messages" in path else b"sim-1")
    assert house.post(path, body).status == 200
    assert reached()[0]["body"].encode() == body


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_renamed_model_is_sent_by_its_own_name_and_answered_by_the_one_asked_for(house, reached, path, stream):
    body = ODD.replace(b"MODEL", b"renamed")
    streamed = b'"stream":true,"stream_options":{"include_usage":true},' if "chat" in path else b'"stream":true,'
    if stream:
        body = body.replace(b'"max_tokens"', streamed + b'"max_tokens"')
    answer = house.post(path, body)
    assert answer.status == 200
    (seen,) = reached()
    assert seen["model"] == "sim-1"
    compact = b"".join(body.replace(b'"renamed"', b'"sim-1"').split())
    assert b"".join(seen["body"].encode().split()) == compact, "nothing else was changed"
    assert b'"model":"renamed"' in answer.body
    assert b'"sim-1"' not in answer.body


def test_a_body_that_is_changed_keeps_its_other_members_bytes(house, reached):
    """Asking for usage on our own behalf rewrites one member of a streamed chat."""
    body = ODD.replace(b"MODEL", b"sim-1").replace(b'"max_tokens"', b'"stream":true,"max_tokens"')
    assert house.post("/v1/chat/completions", body).status == 200
    seen = reached()[0]["body"].encode()
    assert seen.endswith(b',"stream_options":{"include_usage":true}}')
    for member in (
        b"[1,2.0,1e300,-0.0,1.10]",
        b"9223372036854775807",
        b"123456789012345678901234567890",
        b"\\u0078\\/",
    ):
        assert member in seen


@pytest.mark.acceptance("E-10")
@pytest.mark.parametrize("fault", ["bad_header:cr", "bad_header:lf", "bad_header:nul", "huge_header:1000000"])
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_a_provider_that_writes_broken_headers_is_a_bad_gateway(house, path, fault):
    body = CREATES[path]
    answer = house.post(path, body | {"model": f"{body['model']}+fault={fault}"})
    assert answer.status == 502
    assert "set-cookie" not in answer.headers
