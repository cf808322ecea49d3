"""Clients that hold thousands of streams: `python -m tests.faults.idlers PORT TOKEN COUNT OPTIONS`.

Prints `open` once every stream has begun, and at their end how many were whole and how many bytes each had.
"""

import json
import resource
import selectors
import socket
import sys
from collections import Counter

from tests.faults.clients import CHAT

AT_ONCE = 50
"""Streams that are being opened at the same time: the provider's queue of new connections holds a hundred."""
HEARTBEAT = b"8\r\n: ping\n\n\r\n"
"""Not counted: a stream that ends just then may have had one more than another."""


def sent(token: str, options: str) -> bytes:
    body = json.dumps(CHAT.asks(options)).encode()
    head = f"POST {CHAT.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def main(port: int, token: str, count: int, options: str) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    selector, request = selectors.DefaultSelector(), sent(token, options)
    heard: dict[socket.socket, bytes] = {}
    waiting: set[socket.socket] = set()
    ended: Counter[tuple[bool, int]] = Counter()
    opened = 0
    while sum(ended.values()) < count:
        while opened < count and len(waiting) < AT_ONCE:
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(request)
            selector.register(sock, selectors.EVENT_READ)
            heard[sock] = b""
            waiting.add(sock)
            opened += 1
        for key, _ in selector.select(1.0):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            piece = sock.recv(65536)
            heard[sock] += piece
            if b"data: " in piece:
                waiting.discard(sock)
                if opened == count and not waiting:
                    print("open", flush=True)
                    opened += 1  # said once
            if not piece:
                body = heard.pop(sock)
                ended[b"[DONE]" in body, len(body.replace(HEARTBEAT, b""))] += 1
                selector.unregister(sock)
                sock.close()
                waiting.discard(sock)
    print(json.dumps([[whole, size, n] for (whole, size), n in ended.items()]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
