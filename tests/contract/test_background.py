"""What a background response used is known once its owner has read its end, however it was made and is read."""

import time

import pytest

from tests.faults.clients import RESPONSES, Client
from tests.live import until

TOLD = {"input_tokens": 9, "output_tokens": 13, "total_tokens": 22}


def made(house, options):
    """A background response that its client doesn't wait for: its id, and its request's."""
    body = RESPONSES.asks(options, stream=False, background=True, simulated_usage=TOLD)
    answer = house.post(RESPONSES.path, body)
    return answer.json()["id"], answer.headers["x-request-id"]


def left(house, options):
    """The same as a stream, whose client leaves after its first event with content."""
    with Client(house) as client:
        client.send(RESPONSES, options, background=True, simulated_usage=TOLD)
        shown = client.read_until(b"output_text.delta")
        return shown.partition(b'"id":"')[2].partition(b'"')[0].decode(), client.request_id


def known(house, request_id):
    """What is known of a request, once what it used is."""
    record = house.record(request_id)
    return record if record["usage_state"] == "reported" else None


@pytest.mark.parametrize(("make", "end"), [(made, "completed"), (left, "client_left")], ids=["alone", "left"])
@pytest.mark.parametrize("query", ["", "?stream=true"], ids=["read", "replayed"])
def test_who_reads_its_end_brings_what_it_used(house, sim, make, end, query):
    made_id, request_id = make(house, "background=0.3,events=6,gap=0.05")
    assert house.record(request_id)["usage_state"] != "reported"
    time.sleep(0.5)
    answer = house.ask("GET", f"/v1/responses/{made_id}{query}")
    assert (answer.status, b"completed" in answer.body) == (200, True)
    record = until(lambda: known(house, request_id))
    assert (record["end"], record["input_tokens"], record["output_tokens"]) == (end, 9, 13)
