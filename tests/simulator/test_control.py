"""What the control calls tell, and that a client that leaves is noticed."""

import concurrent.futures
import hashlib
import ssl
import subprocess
import sys

import pytest


def test_a_record_has_everything(sim, oa, key):
    made = oa.responses.create(model="sim-1", input="hello", extra_body={"unknown": {"deep": [1]}})
    record = sim.last()
    assert (record["method"], record["path"], record["key"], record["model"]) == ("POST", "/v1/responses", key, "sim-1")
    assert record["object_id"] == made.id
    assert record["usage"]["total_tokens"] == made.usage.total_tokens
    assert '"unknown":{"deep":[1]}' in record["body"]
    assert ["authorization", f"Bearer {key}"] in record["headers"]
    assert record["end"] == "done"
    assert record["status"] == 200
    assert record["started"] <= record["finished"]
    assert record["bytes_sent"] > 1000


def test_since_single_and_clear(sim):
    for n in range(3):
        sim.raw(sim.send(f"/v1/models?n={n}", None, method="GET"))
    records = sim.control("GET", "requests")
    assert [record["query"] for record in records] == ["n=0", "n=1", "n=2"]
    assert sim.control("GET", f"requests?since={records[0]['n']}") == records[1:]
    assert sim.control("GET", f"requests/{records[1]['n']}") == records[1]
    sim.control("DELETE", "requests")
    assert sim.control("GET", "requests") == []


@pytest.mark.parametrize(("size", "listed", "single"), [(300_000, 262144, None), (3_000_000, 262144, 262144)])
def test_large_bodies(sim, size, listed, single):
    request = sim.send("/v1/responses", {"model": "sim-1", "input": "x" * size})
    body = request.partition(b"\r\n\r\n")[2]
    sim.raw(request)
    record = sim.last()
    assert record["body_cut"]
    assert record["body_length"] == len(body)
    assert len(record["body"]) == listed
    full = sim.control("GET", f"requests/{record['n']}")
    assert len(full["body"]) == (single or len(body))
    if single:
        assert full["body_sha256"] == hashlib.sha256(body).hexdigest()


def test_bodies_that_are_no_text(sim):
    sim.raw(b"POST /v1/x HTTP/1.1\r\ncontent-length: 2\r\n\r\n\xff\xfe")
    assert (sim.last()["body"], sim.last()["body_coding"]) == ("//4=", "base64")


def test_stats(sim):
    before = sim.control("GET", "stats")
    sim.raw(sim.send("/v1/models", None, method="GET"))
    after = sim.control("GET", "stats")
    assert after["requests"] == before["requests"] + 1
    assert after["open"] == 0
    assert after["connections"] >= 1
    assert after["cpu_s"] > 0


def test_faults_for_the_next_requests(sim):
    sim.control("POST", "faults", {"fault": "reset", "times": 2, "path": "/responses"})
    assert sim.ask("", path="/v1/chat/completions").end == "whole"
    assert [sim.ask("").end for _ in range(3)] == ["reset", "reset", "whole"]
    sim.control("POST", "faults", {"fault": "status=503,retry_after=9"})
    assert b"retry-after: 9\r\n" in sim.raw(sim.send("/v1/models", None, method="GET")).head
    sim.control("DELETE", "faults")
    assert sim.ask("").data.startswith(b"HTTP/1.1 200")


def test_a_rate_of_faults(sim):
    sim.control("POST", "faults", {"fault": "html", "rate": 0.5})
    pages = sum(b"text/html" in sim.ask("", stream=False).head for _ in range(40))
    assert 8 < pages < 32


@pytest.mark.parametrize("fault", ["nonsense", "split:x", "split:0", "nonsense=1"])
def test_wrong_words_are_refused_at_once(sim, fault):
    assert "simulator" in sim.control("POST", "faults", {"fault": fault})["error"]


@pytest.mark.parametrize(
    "options", ["ttfb=30", "first=30", "gap=30", "fault=hang_accept", "fault=hang_after:2", "size=30000000"]
)
def test_a_client_that_leaves_is_noticed(sim, options):
    with sim.connect() as sock:
        sock.sendall(sim.send("/v1/responses", {"model": f"sim-1+{options}", "input": "x", "stream": True}))
        sim.when(lambda: sim.control("GET", "requests"))
        assert sim.control("GET", "stats")["open"] == 1
    record = sim.when(lambda: (last := sim.last())["end"] == "client_left" and last)
    assert record["finished"] - record["started"] < 2
    stats = sim.control("GET", "stats")
    assert (stats["open"], stats["aborted"]) == (0, 1)


def test_a_slow_reader_is_not_done(sim):
    """What the kernel did not take is not the client's yet."""
    with sim.connect() as sock:
        sock.sendall(sim.send("/v1/responses", {"model": "sim-1+size=30000000", "input": "x"}))
        assert sock.recv(10)
        assert sim.last()["end"] == "open"


# -- HTTP itself


def test_keep_alive_and_pipelining(sim):
    one = sim.send("/v1/models", None, method="GET")
    with sim.connect() as sock:
        sock.settimeout(2)
        sock.sendall(one * 3)
        data = b""
        while data.count(b'"object":"list"') < 3:
            data += sock.recv(65536)
        sock.sendall(one)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


def test_chunked_request_and_expect(sim):
    body = b'{"model":"sim-1","input":"chunky"}'
    head = b"POST /responses HTTP/1.1\r\nx-api-key: sim-a\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n"
    with sim.connect() as sock:
        sock.settimeout(2)
        sock.sendall(head)
        assert sock.recv(99) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        assert b"You said: chunky" in sock.recv(99999)


def test_old_http_and_junk(sim):
    raw = sim.raw(b"GET /v1/models HTTP/1.0\r\nx-api-key: sim-a\r\n\r\n", whole=False)
    assert raw.end == "fin"
    assert sim.raw(b"\x00\x01 junk\r\n\r\n", whole=False).data.startswith(b"HTTP/1.1 400")
    assert b"HTTP/1.1 404" in sim.raw(sim.send("/nowhere", None, method="GET")).head
    assert b"HTTP/1.1 405" in sim.raw(sim.send("/v1/responses", None, method="PUT")).head
    upgrade = sim.send("/v1/responses", None, method="GET", headers="connection: upgrade\r\nupgrade: websocket\r\n")
    assert b"HTTP/1.1 426" in sim.raw(upgrade).head


def test_head_has_no_body(sim):
    raw = sim.raw(b"HEAD /v1/responses HTTP/1.1\r\nx-api-key: sim-a\r\n\r\n", whole=False)
    assert raw.body == b""


def test_many_connections(sim):
    """A thousand open streams, and still a quick answer."""
    request = sim.send("/v1/responses", {"model": "sim-1+gap=30,events=3", "input": "x", "stream": True})
    socks = [sim.connect() for _ in range(1000)]
    try:
        for sock in socks:
            sock.sendall(request)
        sim.when(lambda: sim.control("GET", "stats")["open"] == 1000)
        assert sim.ask("").end == "whole"
    finally:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda sock: sock.close(), socks))
    sim.when(lambda: sim.control("GET", "stats")["aborted"] == 1000)


def test_tls(tmp_path):
    cert, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-keyout", str(private), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    command = [sys.executable, "-m", "simulator", "--port", "0", "--tls-cert", str(cert), "--tls-key", str(private)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            port = int(running.stdout.readline().rpartition(":")[2])
            context = ssl.create_default_context(cafile=str(cert))
            import socket

            with context.wrap_socket(
                socket.create_connection(("localhost", port)), server_hostname="localhost"
            ) as sock:
                sock.sendall(b"GET /v1/models HTTP/1.1\r\nx-api-key: sim-a\r\n\r\n")
                assert sock.recv(99999).startswith(b"HTTP/1.1 200 OK")
        finally:
            running.terminate()
            assert running.wait(5) == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "sim-1", "input": [7]}),
        ("/v1/responses", {"model": "sim-1", "input": 7}),
        ("/v1/messages", {"model": "sim-1", "max_tokens": 1, "messages": ["x"]}),
        ("/v1/chat/completions", {"model": "sim-1", "messages": [{"role": "user", "content": [[]]}], "n": "x"}),
        ("/v1/responses", []),
    ],
)
def test_odd_bodies_never_break_it(sim, path, body):
    raw = sim.raw(sim.send(path, body, headers="anthropic-version: 2023-06-01\r\n"))
    assert raw.data.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 200 "))
    deep = b"[" * 100_000
    request = b"POST %b HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (path.encode(), len(deep), deep)
    assert sim.raw(request).data.startswith(b"HTTP/1.1 400 ")
