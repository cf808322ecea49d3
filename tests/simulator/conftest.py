"""The simulator in its own process, once for all these tests, and plain sockets to see what it really sends."""

import http.client
import json
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import anthropic
import openai
import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Raw:
    """What a socket gave until it ended, and how it ended: fin, reset or timeout."""

    data: bytes
    end: str

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    def plain(self) -> bytes:
        """The body without its chunks."""
        if b"transfer-encoding: chunked" not in self.head:
            return self.body
        return b"".join(self.chunks())

    def chunks(self) -> list[bytes]:
        rest, found = self.body, []
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            if int(size, 16) == 0:
                break
            found.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        return found


class Simulator:
    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def control(self, method: str, path: str, body: object = None):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            conn.request(method, f"/_control/{path}", body=None if body is None else json.dumps(body))
            return json.loads(conn.getresponse().read())
        finally:
            conn.close()

    def send(self, path: str, body: object, *, key: str = "sim-raw", headers: str = "", method: str = "POST") -> bytes:
        data = json.dumps(body).encode() if body is not None else b""
        return (
            f"{method} {path} HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer {key}\r\n{headers}"
            f"content-length: {len(data)}\r\n\r\n"
        ).encode() + data

    def raw(self, request: bytes, *, wait: float = 0.3, whole: bool = True) -> Raw:
        """Everything that comes until the answer is whole, the connection ends, or nothing comes for `wait`."""
        data = b""
        with self.connect() as sock:
            sock.settimeout(wait)
            sock.sendall(request)
            while not (whole and _complete(data)):
                try:
                    piece = sock.recv(1 << 20)
                except TimeoutError:
                    return Raw(data, "timeout")
                except ConnectionResetError:
                    return Raw(data, "reset")
                if not piece:
                    return Raw(data, "fin")
                data += piece
        return Raw(data, "whole")

    def ask(
        self, fault: str, *, path: str = "/v1/responses", stream: bool = True, text: str = "hello you", **more
    ) -> Raw:
        body = {"model": f"sim-1+{fault}", "stream": stream}
        if path.endswith("responses"):
            body["input"] = text
        else:
            body |= {"messages": [{"role": "user", "content": text}], "max_tokens": 99}
        return self.raw(self.send(path, body, headers="anthropic-version: 2023-06-01\r\n"), **more)

    def last(self) -> dict:
        return self.control("GET", "requests")[-1]

    def when(self, check, *, seconds: float = 3.0):
        """Wait until the check holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := check():
                return found
            time.sleep(0.005)
        raise AssertionError("it never came true")


def _complete(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found or head.startswith(b"HTTP/1.1 1"):
        return False
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length: "):
            return len(body) >= int(line[16:])
    return False


@pytest.fixture(scope="session")
def process(tmp_path_factory):
    port_file = tmp_path_factory.mktemp("simulator") / "port"
    command = [sys.executable, "-m", "simulator", "--port", "0", "--port-file", str(port_file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            line = running.stdout.readline()
            port = int(port_file.read_text())
            assert line == f"simulator on http://127.0.0.1:{port}\n"
            yield Simulator(port)
        finally:
            running.terminate()
            assert running.wait(5) == 0


@pytest.fixture
def sim(process):
    process.control("POST", "reset")
    return process


@pytest.fixture(scope="session")
def key() -> str:
    return f"sim-{uuid.uuid4().hex}"


# The SDKs' clients are slow to make, so there is one of each; `sim` empties the simulator for each test.


@pytest.fixture(scope="session")
def openai_client(process, key):
    with openai.OpenAI(api_key=key, base_url=f"{process.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def other_client(process):
    with openai.OpenAI(api_key="sim-somebody-else", base_url=f"{process.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def anthropic_client(process, key):
    with anthropic.Anthropic(api_key=key, base_url=process.url, max_retries=0) as client:
        yield client


@pytest.fixture
def oa(sim, openai_client):
    return openai_client


@pytest.fixture
def other(sim, other_client):
    return other_client


@pytest.fixture
def an(sim, anthropic_client):
    return anthropic_client
