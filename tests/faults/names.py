"""A name server of a test's own, and what lets one process look names up there."""

import shutil
import socket
import struct
import subprocess
import threading
from contextlib import contextmanager, suppress

import pytest

ADDRESS = "127.53.53.53"
A, FOUND = 1, 0x8180


class NameServer:
    """Every name under `.test` is at 127.0.0.1; while `silent` is set it answers nobody."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.silent = self.over = False
        self.unanswered = 0

    def run(self) -> None:
        self._sock.settimeout(0.1)
        while not self.over:
            with suppress(TimeoutError):
                question, client = self._sock.recvfrom(512)
                if self.silent:
                    self.unanswered += 1
                else:
                    self._sock.sendto(self._answer(question), client)

    def _answer(self, question: bytes) -> bytes:
        end = question.index(b"\0", 12) + 5
        (kind,) = struct.unpack("!H", question[end - 4 : end - 2])
        answers = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 0, 4) + socket.inet_aton("127.0.0.1") if kind == A else b""
        return question[:2] + struct.pack("!HHHHH", FOUND, 1, bool(answers), 0, 0) + question[12:end] + answers


@contextmanager
def name_server(folder):
    """Yield the server, and the command before which it is the only one; the file that names it is the machine's."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no process may have files of its own here: needs unshare and the right to use it")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((ADDRESS, 53))
        except PermissionError:
            pytest.skip("no name server may listen here")
        named = folder / "resolv.conf"
        named.write_text(f"nameserver {ADDRESS}\noptions timeout:5 attempts:2\n")
        server = NameServer(sock)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server, ["unshare", "-m", "sh", "-c", f'mount --bind {named} /etc/resolv.conf && exec "$@"', "sh"]
        finally:
            server.over = True
            thread.join()
