"""Every fault, as a plain socket sees it."""

import gzip
import json
import zlib

import pytest

from simulator.faults import FAULTS

PATHS = ("/v1/responses", "/v1/chat/completions", "/v1/messages")


def events_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Events of usual spelling as (name, data)."""
    found = []
    for block in data.split(b"\n\n")[:-1]:
        lines = block.split(b"\n")
        name = next((line[7:] for line in lines if line.startswith(b"event: ")), b"")
        found.append((name, b"\n".join(line[6:] for line in lines if line.startswith(b"data: "))))
    return found


def names_of(raw) -> list[str]:
    return [name.decode() or json.loads(data).get("object", "") for name, data in events_of(raw.plain())]


# -- nothing comes, or the connection breaks


def test_hang_accept(sim):
    raw = sim.ask("fault=hang_accept")
    assert (raw.data, raw.end) == (b"", "timeout")
    record = sim.when(lambda: (last := sim.last())["end"] != "open" and last)
    assert record["end"] == "client_left"


def test_hang_headers(sim):
    raw = sim.ask("fault=hang_headers")
    assert raw.data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (raw.body, raw.end) == (b"", "timeout")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_hang_after(sim, count):
    raw = sim.ask(f"fault=hang_after:{count}", wait=0.2)
    assert raw.end == "timeout"
    assert len(events_of(raw.plain())) == count


def test_reset(sim):
    raw = sim.ask("fault=reset")
    assert (raw.data, raw.end) == (b"", "reset")
    assert sim.last()["end"] == "fault"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("count", [0, 1, 17, 500, 1200, 1500])
def test_reset_at(sim, count, stream):
    raw = sim.ask(f"fault=reset_at:{count}", stream=stream, whole=False)
    assert (len(raw.data), raw.end) == (count, "reset")
    record = sim.last()
    assert (record["end"], record["bytes_sent"]) == ("fault", count)


@pytest.mark.parametrize("count", [0, 1, 700, 1500])
def test_cut_at(sim, count):
    raw = sim.ask(f"fault=cut_at:{count}", whole=False)
    assert (len(raw.data), raw.end) == (count, "fin")


def test_a_reset_behind_the_end_does_not_happen(sim):
    assert sim.ask("fault=reset_at:999999").end == "whole"
    assert sim.last()["end"] == "done"


@pytest.mark.parametrize("stream", [True, False])
def test_half_close_keeps_reading(sim, stream):
    body = {"model": "sim-1+fault=half_close", "input": "x" * 150, "stream": stream}
    with sim.connect() as sock:
        sock.settimeout(2)
        sock.sendall(sim.send("/v1/responses", body))
        data = b""
        while piece := sock.recv(65536):
            data += piece
        assert 0 < len(data.partition(b"\r\n\r\n")[2]) < 1200
        sock.sendall(b"GET /still-here")
        assert sim.last()["end"] == "open"
    assert sim.when(lambda: sim.last()["end"] == "client_left")


def test_slow(sim):
    raw = sim.ask("fault=slow:20000")
    assert raw.end == "whole"
    record = sim.last()
    assert record["finished"] - record["started"] > len(raw.data) / 20000 * 0.8
    body = {"model": "sim-1+fault=slow:5", "input": "x"}
    with sim.connect() as sock:
        sock.settimeout(2)
        sock.sendall(sim.send("/v1/responses", body))
        assert (sock.recv(99), sock.recv(99)) == (b"H", b"T")


def test_slow_body_has_a_quick_head(sim):
    with sim.connect() as sock:
        sock.settimeout(2)
        sock.sendall(sim.send("/v1/responses", {"model": "sim-1+fault=slow_body:5", "input": "x"}))
        head, found, body = sock.recv(99999).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert found
        assert body + sock.recv(1) in (b"{", b'{"')


# -- the head


def test_informational(sim):
    raw = sim.ask("fault=informational:3", whole=False)
    assert raw.data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n")
    assert raw.data.count(b"HTTP/1.1 100") == 2
    assert b"HTTP/1.1 200 OK" in raw.data


def test_huge_header_and_many_headers(sim):
    assert len(sim.ask("fault=huge_header:300000").head) > 300000
    assert sim.ask("fault=many_headers:500").head.count(b"\r\nx-many-") == 500


def test_bad_header(sim):
    head = sim.ask("fault=bad_header").head
    assert b"one\rtwo" in head
    assert b"one\nset-cookie: stolen=1" in head
    assert b"one\x00two" in head
    assert b"\x00" not in sim.ask("fault=bad_header:cr").head


def test_wrong_length(sim):
    more = sim.ask("fault=wrong_length:+5", stream=False, whole=False)
    assert more.end == "fin"
    assert f"content-length: {len(more.body) + 5}".encode() in more.head
    less = sim.ask("fault=wrong_length:-5", stream=False, whole=False)
    assert less.end == "timeout"
    assert f"content-length: {len(less.body) - 5}".encode() in less.head
    stream = sim.ask("fault=wrong_length:+5", whole=False)
    assert f"content-length: {len(stream.body) + 5}".encode() in stream.head


@pytest.mark.parametrize("stream", [True, False])
def test_no_length(sim, stream):
    raw = sim.ask("fault=no_length", stream=stream)
    assert raw.end == "fin"
    assert b"content-length" not in raw.head
    assert b"chunked" not in raw.head
    assert b"You said: hello you" in raw.body


def test_pages_and_redirects(sim):
    page = sim.ask("fault=html")
    assert b"HTTP/1.1 200 OK" in page.head
    assert b"content-type: text/html" in page.head
    assert b"<html>" in page.body
    assert b"HTTP/1.1 404 Not Found" in sim.ask("fault=not_found_endpoint").head
    moved = sim.ask("fault=redirect:http://127.0.0.1:1/x")
    assert b"HTTP/1.1 307 " in moved.head
    assert b"location: http://127.0.0.1:1/x\r\n" in moved.head
    assert b"content-type: text/plain" in sim.ask("fault=type:text/plain").head


# -- the body


@pytest.mark.parametrize("stream", [True, False])
def test_gzip(sim, stream):
    raw = sim.ask("fault=gzip", stream=stream)
    assert b"content-encoding: gzip\r\n" in raw.head
    assert b"You said: hello you" in gzip.decompress(raw.plain())


def test_stacked_gzip(sim):
    raw = sim.ask("fault=stacked_gzip:3", stream=False)
    assert b"content-encoding: gzip, gzip, gzip\r\n" in raw.head
    assert b"You said" in gzip.decompress(gzip.decompress(gzip.decompress(raw.plain())))


def test_gzip_bomb(sim):
    raw = sim.ask("fault=gzip_bomb:30", stream=False)
    packed = raw.plain()
    assert len(packed) < 100_000
    assert len(zlib.decompress(packed, 31)) == 30 << 20


def test_bodies_that_are_no_answers(sim):
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(sim.ask("fault=broken_json", stream=False).body)
    assert b"content-length: 0\r\n" in sim.ask("fault=empty_body", stream=False).data
    assert sim.ask("fault=empty_body").plain() == b""
    with pytest.raises(UnicodeDecodeError):
        sim.ask("fault=bad_utf8").plain().decode()
    with pytest.raises(UnicodeDecodeError):
        sim.ask("fault=bad_utf8", stream=False).plain().decode()


@pytest.mark.parametrize("path", PATHS)
def test_json_for_stream_and_the_other_way_round(sim, path):
    assert json.loads(sim.ask("fault=json_for_stream", path=path).body)["id"]
    assert events_of(sim.ask("fault=sse_for_plain", path=path, stream=False).plain())


@pytest.mark.parametrize("path", PATHS)
def test_split_cuts_anywhere_and_loses_nothing(sim, path):
    text = "héllo 世界 🎈"
    raw = sim.ask("fault=split:3", path=path, text=text)
    assert {len(chunk) for chunk in raw.chunks()[:-1]} <= {1, 2, 3}
    assert "🎈" in raw.plain().decode()
    random = sim.ask("fault=split_random:7", path=path, text=text)
    again = sim.ask("fault=split_random:7", path=path, text=text)
    assert "🎈" in random.plain().decode()
    assert [len(chunk) for chunk in random.chunks()][:5] == [len(chunk) for chunk in again.chunks()][:5]


def test_ids(sim):
    assert json.loads(sim.ask("fault=same_id:resp_twin", stream=False).body)["id"] == "resp_twin"
    long = json.loads(sim.ask("fault=long_id:480", stream=False).body)["id"]
    assert (len(long), long[-1]) == (480, "=")
    assert sim.last()["object_id"] == long


@pytest.mark.parametrize("path", PATHS)
def test_usage(sim, path):
    assert not json.loads(sim.ask("fault=usage_absent", path=path, stream=False).body).get("usage")
    assert -5 in json.loads(sim.ask("fault=usage_odd", path=path, stream=False).body)["usage"].values()
    assert b"-5" in sim.ask("fault=usage_odd", path="/v1/messages").plain()


# -- the events


@pytest.mark.parametrize(("path", "opening"), [(PATHS[0], 2), (PATHS[1], 1), (PATHS[2], 2)])
def test_errors_in_the_stream(sim, path, opening):
    for fault, before in (("error_first:529", 0), ("error_opening:429", opening), ("error_after:3:server_error", 3)):
        found = events_of(sim.ask(f"fault={fault}", path=path).plain())
        assert len(found) == before + 1
        error = json.loads(found[-1][1])
        assert error.get("error") or error["type"] == "error"


@pytest.mark.parametrize("path", PATHS)
def test_ends(sim, path):
    usual = events_of(sim.ask("", path=path).plain())
    assert events_of(sim.ask("fault=no_terminal:4", path=path).plain())[1:1] == []
    assert len(events_of(sim.ask("fault=no_terminal:4", path=path).plain())) == 4
    twice = events_of(sim.ask("fault=two_terminals", path=path).plain())
    assert len(twice) == len(usual) + 1
    assert twice[-1] == twice[-2]
    after = events_of(sim.ask("fault=after_terminal", path=path).plain())
    assert len(after) == len(usual) + 1
    assert after[-1][0] == usual[{PATHS[0]: 2, PATHS[1]: 1, PATHS[2]: 2}[path]][0]


@pytest.mark.parametrize("path", PATHS[:2])
def test_id_change(sim, path):
    data = sim.ask("fault=id_change", path=path).plain()
    ident = sim.last()["object_id"].encode()
    assert ident in data
    assert ident[:-8] + b"deadbeef" in data


@pytest.mark.parametrize("path", PATHS)
def test_big_event(sim, path):
    found = events_of(sim.ask("fault=big_event:200000", path=path).plain())
    assert [len(data) for _, data in found].count(200000) == 1
    assert all(json.loads(data) for _, data in found if data != b"[DONE]")


def test_spelling(sim):
    assert b"\r\ndata: {" in sim.ask("fault=crlf").plain()
    assert b"\n" not in sim.ask("fault=crlf").plain().replace(b"\r\n", b"")
    assert b"\n" not in sim.ask("fault=cr").plain()
    assert b'\ndata:  "type": "response.created"' in sim.ask("fault=multiline").plain()
    assert b": ping\n\n" in sim.ask("fault=comments").plain()
    assert b"event:" not in sim.ask("fault=no_event_lines").plain()
    plain = sim.ask("fault=no_space").plain()
    assert b"\ndata:{" in plain
    assert b"event:response.created\n" in plain


@pytest.mark.parametrize("faults", ["crlf,fault=split:5", "comments,fault=gzip,fault=no_length", "multiline,fault=cr"])
def test_faults_go_together(sim, faults):
    raw = sim.ask(f"fault={faults}")
    body = raw.plain()
    if b"content-encoding" in raw.head:
        body = gzip.decompress(body)
    assert b"response.completed" in body


# -- timing and sizes


def test_many_events_in_big_pieces(sim):
    raw = sim.ask("events=20000,bytes=3")
    assert raw.plain().count(b"event: response.output_text.delta\n") == 20000
    assert len(raw.chunks()) < 100


def test_size(sim):
    answer = json.loads(sim.ask("size=2000000", stream=False, wait=2).body)
    assert len(answer["output"][0]["content"][0]["text"]) == 2000000
    assert sim.last()["end"] == "done"


def test_pauses(sim):
    raw = sim.ask("ttfb=0.1,first=0.1,gap=0.01,events=5")
    assert raw.end == "whole"
    record = sim.last()
    assert 0.3 < record["finished"] - record["started"] < 2
    assert len(raw.chunks()) == 13


def test_every_fault_is_described_and_harmless_to_the_rest(sim):
    import simulator.faults as module

    for name in FAULTS:
        assert f"`{name}" in module.__doc__, name
    assert sim.ask("").end == "whole"
