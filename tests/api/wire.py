"""Requests byte for byte as a test writes them, and what comes back of them."""

import re
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@dataclass
class Heard:
    data: bytes
    closed: bool
    """Whether the server ended the connection."""
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """The status of each answer, a `100 Continue` left out."""
        return [int(status) for status in STATUS.findall(self.data) if status != b"100"]

    @property
    def body(self) -> bytes:
        return self.data.rpartition(b"\r\n\r\n")[2]


def say(
    port: int,
    data: bytes,
    *,
    then_end: bool = False,
    seconds: float = 5.0,
    until: bytes | None = None,
    trust: ssl.SSLContext | None = None,
) -> Heard:
    """Send bytes and listen until the server hangs up, `until` came, or the time is over; over TLS with `trust`."""
    since = time.monotonic()
    heard, closed = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, _over(plain, trust) as sock:
        with suppress(OSError):  # it may hang up before it has all
            sock.sendall(data)
            if then_end:
                sock.shutdown(socket.SHUT_WR)
        sock.settimeout(seconds)
        try:
            while until is None or until not in heard:
                piece = sock.recv(65536)
                if not piece:
                    closed = True
                    break
                heard += piece
        except TimeoutError:
            pass
        except (ConnectionResetError, ssl.SSLError):
            closed = True
    return Heard(heard, closed, time.monotonic() - since)


def _over(plain: socket.socket, trust: ssl.SSLContext | None) -> socket.socket:
    return trust.wrap_socket(plain, server_hostname="localhost") if trust else plain


def request(token: str, *lines: str, body: bytes = b"", line: str = "POST /v1/responses HTTP/1.1") -> bytes:
    """A request of these header lines, with a Host and a token; nothing is added to the body's framing."""
    head = [line, "Host: realms.example.com", f"Authorization: Bearer {token}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body
