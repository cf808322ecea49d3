"""A server in a thread that answers by script, byte for byte."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack, contextmanager, suppress

Step = bytes | Callable[[socket.socket], None]
"""What is done when a request has come: bytes to send, or anything else with the socket."""

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server:
    """`seen` holds every request as it came; each connection follows its own script and then closes."""

    def __init__(
        self, scripts: list[list[Step]], *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.seen: list[bytes] = []
        self.connections = 0
        self._scripts = scripts
        self._tls = tls
        self._listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._listener.settimeout(0.05)
        self._closing = False
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}"
        self._thread = threading.Thread(target=self._accept)
        self._talking: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        self._listener.close()
        for connection in self._open:  # nobody waits for a request that never comes
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._talking:
            thread.join()

    def _accept(self) -> None:
        while not self._closing:
            with suppress(TimeoutError):
                connection, _ = self._listener.accept()
                script = self._scripts[min(self.connections, len(self._scripts) - 1)]
                self.connections += 1
                thread = threading.Thread(target=self._talk, args=(connection, script))
                thread.start()
                self._talking.append(thread)

    def _talk(self, connection: socket.socket, script: list[Step]) -> None:
        connection.settimeout(5)
        with suppress(OSError, ValueError), ExitStack() as stack:  # a script may close the socket itself
            stack.callback(connection.close)
            if self._tls:
                connection = stack.enter_context(self._tls.wrap_socket(connection, server_side=True))
            self._open.append(connection)
            for step in script:
                self.seen.append(self._request(connection))
                if callable(step):
                    step(connection)
                else:
                    connection.sendall(step)
            if isinstance(connection, ssl.SSLSocket):
                connection.settimeout(0.2)
                connection.unwrap()

    def _request(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line[16:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
        while lengths and len(body) < int(lengths[0]):
            body += self._more(connection)
        return head + b"\r\n\r\n" + body

    def _more(self, connection: socket.socket) -> bytes:
        data = connection.recv(65536)
        if not data:
            raise OSError("the client is gone")
        return data


@contextmanager
def serving():
    """Yield what starts a server; each argument is one connection's script, the last one stands for all further."""
    servers = []

    def start(*scripts: list[Step], **more) -> Server:
        servers.append(Server(list(scripts), **more))
        return servers[-1]

    try:
        yield start
    finally:
        for server in servers:
            server.close()


def until_closed(connection: socket.socket) -> None:
    """Wait for the other side to end the connection."""
    with suppress(OSError):
        while connection.recv(65536):
            pass


def together(*pieces: bytes) -> Step:
    """Return what sends pieces so that they arrive at once: under TLS several records in one packet."""

    def step(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        for piece in pieces:
            connection.sendall(piece)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    return step


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
