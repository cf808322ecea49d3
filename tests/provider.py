"""A tiny provider in a thread, on a real socket: lists models to who has the right key, or answers as it is told."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Provider:
    """What a test sets and reads."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.key = None
        self.models = ["m-1", "m-2"]
        self.status = 200
        self.body = None
        self.headers = {}
        self.seen = []

    def answer(self, headers) -> tuple[int, bytes]:
        given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if self.key is not None and given != self.key:
            return 401, b'{"error":{"message":"bad key"}}'
        body = json.dumps({"data": [{"id": name} for name in self.models]}).encode() if self.body is None else self.body
        return self.status, body


@contextmanager
def provider():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            it = self.server.provider
            it.seen.append((self.path, dict(self.headers)))
            status, body = it.answer(self.headers)
            self.send_response(status)
            for name, value in it.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.provider = Provider(server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server.provider
        server.shutdown()
        thread.join()
