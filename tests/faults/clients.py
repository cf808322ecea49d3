"""Clients on plain sockets, for what an SDK hides: bytes as they come, leaving early, not reading."""

import http.client
import json
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Talk:
    """How one protocol is spoken: where, to which model, and what ends a stream well."""

    name: str
    path: str
    model: str
    ends: bytes
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def asks(self, options: str = "", *, stream: bool = True, **more: Any) -> dict[str, Any]:
        """A request's body; `options` are the simulated provider's, after the model's `+`."""
        model = more.pop("model", self.model)
        return self.body | {"model": f"{model}+{options}" if options else model, "stream": stream} | more


HELLO = [{"role": "user", "content": "hello there"}]
RESPONSES = Talk("responses", "/v1/responses", "sim-1", b"response.completed", {"input": "hello there"})
CHAT = Talk(
    "chat",
    "/v1/chat/completions",
    "sim-1",
    b"[DONE]",
    {"messages": HELLO, "stream_options": {"include_usage": True}},
)
MESSAGES = Talk(
    "messages",
    "/v1/messages",
    "claude-sim-1",
    b"message_stop",
    {"messages": HELLO, "max_tokens": 100},
    {"anthropic-version": "2023-06-01"},
)
TALKS = (RESPONSES, CHAT, MESSAGES)


def name_of(value: Any) -> str | None:
    """How a parameter is called in a test's name."""
    return value.name if isinstance(value, Talk) else None


class Client:
    """One connection to Realms; `window` bounds what the kernel takes in for a client that doesn't read."""

    def __init__(
        self, house, *, who: str = "alice", window: int = 0, timeout: float = 60, host: str = "127.0.0.1"
    ) -> None:
        self.request_id = uuid.uuid4().hex
        self.token = house.tokens[who]
        self.sock = socket.socket()
        if window:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect((host, house.port))
        except OSError:
            self.sock.close()
            raise
        self._ends = [f":{name[1]:04X}" for name in (self.sock.getpeername(), self.sock.getsockname())]
        self._answer: http.client.HTTPResponse | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    @property
    def held(self) -> bool:
        """Whether the server has this connection open: of one that it gave back the kernel tells no inode."""
        for line in Path("/proc/net/tcp").read_text().splitlines():
            _, local, remote, *_, inode = line.split()[:10]
            if [local[-5:], remote[-5:]] == self._ends:
                return inode != "0"
        return False

    def send(self, talk: Talk, options: str = "", *, stream: bool = True, **more: Any) -> "Client":
        """Send a request and don't wait for anything."""
        body = json.dumps(talk.asks(options, stream=stream, **more)).encode()
        lines = [f"POST {talk.path} HTTP/1.1", "host: realms", f"authorization: Bearer {self.token}"]
        lines += [f"x-request-id: {self.request_id}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in talk.headers.items()]
        lines += [f"content-length: {len(body)}", "", ""]
        self._answer = None
        self.sock.sendall("\r\n".join(lines).encode() + body)
        return self

    @property
    def answer(self) -> http.client.HTTPResponse:
        """Status and headers of the answer, once they are there."""
        if self._answer is None:
            self._answer = http.client.HTTPResponse(self.sock, method="POST")
            self._answer.begin()
        return self._answer

    def piece(self) -> bytes:
        """What has come of the body; nothing at its end."""
        return self.answer.read1(65536)

    def read_until(self, mark: bytes, times: int = 1) -> bytes:
        """Read until `mark` has come so many times, and not further than the piece it came in."""
        data = b""
        while data.count(mark) < times:
            piece = self.piece()
            assert piece, f"the answer ended: {data[-500:]!r}"
            data += piece
        return data

    def rest(self) -> bytes:
        return self.answer.read()

    def leave(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self.sock.close()


@contextmanager
def under_way(house, count: int, *, who: str, gap: float = 2.0) -> Iterator[None]:
    """So many streams have begun, four gaps long, that come to 1,000 tokens each; at the end they are read to theirs."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(house, who=who)) for _ in range(count)]
        for client in clients:
            client.send(CHAT, f"events=5,gap={gap},output=1000,input=0,cached=0", max_tokens=1000)
        for client in clients:
            client.read_until(b"\n\n")
        yield
        for client in clients:
            assert CHAT.ends in client.rest()


@dataclass(frozen=True)
class Whole:
    """A whole answer as a plain client got it."""

    status: int
    headers: dict[str, str]
    body: bytes
    request_id: str

    @property
    def told(self) -> bytes:
        """Everything that the client saw."""
        return repr(self.headers).encode() + self.body


def call(house, talk: Talk, options: str = "", *, who: str = "alice", **more: Any) -> Whole:
    """One call on a connection of its own, read to its proper end."""
    with Client(house, who=who) as client:
        client.send(talk, options, **more)
        headers = {name.lower(): value for name, value in client.answer.getheaders()}
        return Whole(client.answer.status, headers, client.rest(), client.request_id)


def metric(house, name: str) -> float:
    """One number of the metrics, of a house that lets this machine read them."""
    lines = house.ask("GET", "/metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def events(body: bytes) -> list[tuple[str, Any]]:
    """The events of a stream of usual spelling: name and data, decoded where it is JSON."""
    found = []
    for block in body.split(b"\n\n"):
        lines = [line.partition(b": ") for line in block.split(b"\n")]
        name = next((value.decode() for key, _, value in lines if key == b"event"), "")
        data = b"\n".join(value for key, _, value in lines if key == b"data")
        if data:
            found.append((name, json.loads(data) if data.startswith(b"{") else data.decode("utf-8", "replace")))
    return found
