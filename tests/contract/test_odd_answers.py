"""Answers whose members are of kinds that no provider's reference names: passed on or told as failures, never a 500."""

import json

import pytest

from app.services import catalog, upstreams
from tests.faults.clients import CHAT, RESPONSES, call, events, name_of
from tests.relay.servers import serving

ODD = [{}, {"code": 1}, ["completed"], 5, None, True]


class Upstream:
    """A server that answers with what is set here."""

    def __init__(self, start):
        self.answer = b""
        self.port = start([self._say]).port

    def _say(self, sock):
        sock.sendall(self.answer)

    def says(self, body, *, kind="application/json", status="200 OK", **headers):
        lines = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(body)}", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.answer = "\r\n".join((*lines, "", "")).encode() + body


@pytest.fixture(scope="module")
def upstream(house):
    """An upstream of this module's own; what it keeps can be asked for again."""

    def create(url):
        made = upstreams.create(name="odd", kind="openai", base_url=url, key="x", priority=0, weight=1, actor=None)
        catalog.import_models(made.id, {"odd-1": None}, actor=None)
        return made.id

    with serving() as start:
        server = Upstream(start)
        upstream_id = house.changed(lambda: create(f"http://127.0.0.1:{server.port}/v1"))
        yield server
        house.changed(lambda: upstreams.delete(upstream_id, actor=None))


@pytest.mark.parametrize("talk", [RESPONSES, CHAT], ids=name_of)
@pytest.mark.parametrize("status", ODD, ids=str)
def test_a_body_whose_status_is_no_word_passes_as_it_is(house, upstream, talk, status):
    body = json.dumps({"id": f"odd-{talk.name}", "status": status, "usage": {"input_tokens": 1}}).encode()
    upstream.says(body)
    got = call(house, talk, model="odd-1", stream=False)
    assert (got.status, got.body) == (200, body)
    if talk is RESPONSES:
        again = house.ask("GET", "/v1/responses/odd-responses")
        assert (again.status, again.body) == (200, body)


@pytest.mark.parametrize("output", [*ODD, [5, None, {"id": 5}]], ids=str)
def test_a_stream_whose_output_is_no_list_of_items_comes_to_its_end(house, upstream, output):
    told = {"type": "response.completed", "response": {"id": "odd-stream", "output": output}}
    body = b"event: response.completed\ndata: " + json.dumps(told).encode() + b"\n\n"
    upstream.says(body, kind="text/event-stream")
    got = call(house, RESPONSES, model="odd-1")
    assert (got.status, got.body) == (200, body)
    assert events(got.body) == [("response.completed", told)]


@pytest.mark.parametrize(
    "error",
    [{"type": {}}, {"type": ["x"], "code": 5}, {"resets_in_seconds": 10**400}, {"resets_at": -(10**400)}],
    ids=ascii,
)
def test_a_rate_limit_in_odd_words_is_one(house, upstream, error):
    upstream.says(json.dumps({"error": error}).encode(), status="429 Too Many Requests")
    got = call(house, RESPONSES, model="odd-1", stream=False)
    assert got.status == 429
    assert json.loads(got.body)["error"]["code"] == "rate_limit_exceeded"


def test_a_delete_that_is_answered_without_a_word_has_deleted(house, upstream):
    upstream.says(b'{"id":"odd-gone","status":"completed"}')
    assert call(house, RESPONSES, model="odd-1", stream=False).status == 200
    upstream.answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    gone = house.ask("DELETE", "/v1/responses/odd-gone")
    assert (gone.status, gone.body) == (204, b"")
    assert house.ask("GET", "/v1/responses/odd-gone").status == 404
