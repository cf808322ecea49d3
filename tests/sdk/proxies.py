"""nginx and Caddy before a house, configured as `deploy/` says but for addresses and certificates."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.live import ROOT, free_port, until

PROXIES = ("nginx", "caddy")


@dataclass
class Proxy:
    """A running proxy: where it listens, and what a client must trust."""

    port: int
    trust: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


@contextmanager
def before(house, name: str, folder: Path) -> Iterator[Proxy]:
    """Start a proxy before a house."""
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(folder / "fullchain.pem")
    certificate.private_key_pem.write_to_path(folder / "privkey.pem")
    port = free_port()
    command = (_nginx if name == "nginx" else _caddy)(folder, port, house.port)
    with (folder / "log").open("wb") as log:
        environment = {"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/bin"}
        with subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process:
            try:
                until(lambda: _listens(port) or process.poll() is not None)
                assert process.poll() is None, (folder / "log").read_text()
                yield Proxy(port, trust)
            finally:
                process.terminate()


def _nginx(folder: Path, port: int, behind: int) -> list[str]:
    text = _replaced(
        "nginx.conf",
        {
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            "127.0.0.1:8080": f"127.0.0.1:{behind}",
            "/etc/ssl/realms": str(folder),
        },
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    main = f"daemon off; pid {folder}/pid; error_log stderr; events {{}} http {{ access_log off; {paths}\n"
    (folder / "nginx.conf").write_text(main + text + "}")
    return [shutil.which("nginx") or "nginx", "-e", "stderr", "-c", f"{folder}/nginx.conf"]


def _caddy(folder: Path, port: int, behind: int) -> list[str]:
    certificate = f"tls {folder}/fullchain.pem {folder}/privkey.pem"
    text = _replaced(
        "Caddyfile",
        {
            "realms.example.com {": f"https://localhost:{port}, https://realms.example.com:{port} {{\n\tbind 127.0.0.1\n\t{certificate}",
            "127.0.0.1:8080": f"127.0.0.1:{behind}",
        },
    )
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    return [shutil.which("caddy") or "caddy", "run", "--config", f"{folder}/Caddyfile", "--adapter", "caddyfile"]


def _replaced(name: str, words: dict[str, str]) -> str:
    text = (ROOT / "deploy" / name).read_text()
    for theirs, ours in words.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    return text


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
