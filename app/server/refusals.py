"""What gunicorn refuses before it has a request (a line or headers that are too long or wrong) is told in JSON."""

from __future__ import annotations

import json
from typing import Any

from gunicorn import util

HEAD = "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def install() -> None:
    """Put this in the place of gunicorn's page, which no client of an API can read."""
    util.write_error = _tell


def _tell(sock: Any, status: int, reason: str, message: str) -> None:
    kind = "invalid_request_error" if status < 500 else "server_error"
    told = {"message": message or reason, "type": kind, "param": None, "code": None}
    # Nobody knows yet which protocol is spoken: each finds in it what it looks for.
    body = json.dumps({"type": "error", "error": told}).encode()
    util.write_nonblock(sock, (HEAD % (status, reason, len(body))).encode("latin-1") + body)
