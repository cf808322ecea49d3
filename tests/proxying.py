"""A proxy in a process of its own: HTTP's CONNECT, plain or under TLS, or SOCKS5. It writes down what went through.

`python -m tests.proxying socks5 --notes FILE --login user:password` prints its port; each line of FILE is one request.
"""

from __future__ import annotations

import argparse
import base64
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIRST = 4096
"""Bytes of each way through that are written down."""


@dataclass
class Proxy:
    """The running proxy."""

    scheme: str
    port: int
    notes: Path
    process: subprocess.Popen

    @property
    def address(self) -> str:
        return f"{self.scheme}://{'localhost' if self.scheme == 'https' else '127.0.0.1'}:{self.port}"

    def seen(self) -> list[dict]:
        """Every connection so far: where to, with which login, and the first bytes that went there."""
        return [note for note in self._notes() if "to" in note]

    def said(self) -> list[str]:
        """How everything begins that clients sent, once for each time that something was read."""
        return [note["first"] for note in self._notes() if "first" in note]

    def _notes(self) -> list[dict]:
        return [json.loads(line) for line in self.notes.read_text().splitlines()] if self.notes.exists() else []


@contextmanager
def proxy(folder, scheme="http", **options):
    """Start one; options as on its command line."""
    notes = folder / f"{scheme}-{time.monotonic_ns()}.jsonl"
    more = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "tests.proxying", scheme, "--notes", str(notes), *more]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Proxy(scheme, int(process.stdout.readline()), notes, process)
        finally:
            process.kill()
            process.wait()


class _Refused(Exception):
    pass


class _Serving:
    def __init__(self, wanted: argparse.Namespace) -> None:
        self._wanted = wanted
        self._lock = threading.Lock()
        self._tls = None
        if wanted.certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(wanted.certificate)

    def run(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            print(listener.getsockname()[1], flush=True)
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, _Refused, ValueError), closing(client):
            if self._wanted.fault == "hang":
                time.sleep(60)
            if self._tls:
                client = self._tls.wrap_socket(client, server_side=True)
            meet = self._meet_socks if self._wanted.scheme.startswith("socks") else self._meet_http
            host, port, login = meet(client)
            with closing(socket.create_connection((self._wanted.lead or host, port), timeout=30)) as upstream:
                self._join(client, upstream, {"to": f"{host}:{port}", "login": login})

    def _note(self, note: dict) -> None:
        with self._lock, Path(self._wanted.notes).open("a") as out:
            out.write(json.dumps(note) + "\n")

    def _meet_http(self, client: socket.socket) -> tuple[str, int, str]:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        lines = head.decode("latin-1").split("\r\n")
        method, authority, _ = lines[0].split(" ")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        given = headers.get("proxy-authorization", "")
        login = base64.b64decode(given.removeprefix("Basic ")).decode()
        host, _, port = authority.rpartition(":")
        if method != "CONNECT" or self._wanted.answer:
            self._refuse(client, b"HTTP/1.1 %d No\r\n\r\n" % (self._wanted.answer or 405), authority, login)
        if login != self._wanted.login:
            self._refuse(client, b"HTTP/1.1 407 Who are you\r\nproxy-authenticate: Basic\r\n\r\n", authority, login)
        client.sendall(b"HTTP/1.1 200 Connection established\r\nvia: tests\r\n\r\n")
        return host.strip("[]"), int(port), login

    def _meet_socks(self, client: socket.socket) -> tuple[str, int, str]:
        _, count = client.recv(2)
        methods, login = client.recv(count), ""
        wants = 2 if self._wanted.login else 0
        if wants not in methods:
            self._refuse(client, b"\5\xff", "", "")
        client.sendall(bytes((5, wants)))
        if wants:
            user = client.recv(client.recv(2)[1])
            login = f"{user.decode()}:{client.recv(client.recv(1)[0]).decode()}"
            if login != self._wanted.login:
                self._refuse(client, b"\1\1", "", login)
            client.sendall(b"\1\0")
        kind = client.recv(4)[3]
        size = {1: 4, 4: 16}.get(kind) or client.recv(1)[0]
        raw = client.recv(size)
        host = raw.decode() if kind == 3 else socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, raw)
        port = int.from_bytes(client.recv(2))
        if self._wanted.answer:
            self._refuse(client, bytes((5, self._wanted.answer, 0, 1, 0, 0, 0, 0, 0, 0)), f"{host}:{port}", login)
        client.sendall(bytes((5, 0, 0, 3, 5)) + b"tests" + bytes(2))
        return host, port, login

    def _refuse(self, client: socket.socket, answer: bytes, to: str, login: str) -> None:
        self._note({"to": to, "login": login, "refused": True})
        client.sendall(answer)
        raise _Refused

    def _join(self, client: socket.socket, upstream: socket.socket, note: dict) -> None:
        """Pass bytes on both ways until either side has ended."""
        back = threading.Thread(target=self._pass, args=(upstream, client), daemon=True)
        first = client.recv(FIRST)
        self._note(note | {"first": first.decode("latin-1")})
        upstream.sendall(first)
        back.start()
        self._pass(client, upstream, lambda data: self._note({"first": data[:FIRST].decode("latin-1")}))
        back.join()

    def _pass(self, source: socket.socket, target: socket.socket, note: Callable[[bytes], None] = id) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                note(data)
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scheme")
    parser.add_argument("--notes")
    parser.add_argument("--login", default="")
    parser.add_argument("--certificate", help="speak TLS with this")
    parser.add_argument("--answer", type=int, default=0, help="refuse everybody with this status, or SOCKS reply")
    parser.add_argument("--fault", default="", help="hang: take the connection and say nothing")
    parser.add_argument("--lead", default="", help="connect to this host, whatever was asked for")
    _Serving(parser.parse_args()).run()


if __name__ == "__main__":
    main()
