"""`flask doctor --client` names the broken hop, through real proxies that are broken in each of the usual ways."""

import json
import shutil
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests import live
from tests.live import free_port, until

pytestmark = pytest.mark.slow
NGINX = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
GOOD = "proxy_buffering off; client_max_body_size 33m;"
ALL_WELL = {"address", "proxy", "authentication", "models", "large requests", "stream", "session_id header"}
SLOW = "sim-1+events=20,gap=0.05"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hops")
    with live.open_provider() as provider, live.database("sqlite", folder, "hops") as url:
        with live.open_house(folder, url, provider) as house:
            yield house


@contextmanager
def nginx(house, folder, location=GOOD, server="underscores_in_headers on;", to=None):
    """The address of an nginx before the house."""
    port = free_port()
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    location = f"location / {{ proxy_request_buffering off; proxy_pass http://127.0.0.1:{to or house.port}; proxy_http_version 1.1; {location} }}"
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {temporary} "
        f"server {{ listen 127.0.0.1:{port}; {server} {location} }} }}"
    )
    with subprocess.Popen(["nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]) as process:
        try:
            until(lambda: (folder / "pid").exists() or process.poll() is not None)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@contextmanager
def holding_back(house):
    """The address of a proxy that passes an answer on once it has all of it."""

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0))) or None
            answer = live.ask(house.port, self.command, self.path, body=body, headers=dict(self.headers))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name not in {"transfer-encoding", "content-length", "connection"}:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = pass_on

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def walk(house, url, *, token=None, model=SLOW):
    """What was found wrong, by its name, and everything that was looked at."""
    args = ["doctor", "--client", "--url", url, "--token-stdin", "--json", *(["--model", model] if model else [])]
    result = house.app.test_cli_runner().invoke(args=args, input=f"{token or house.tokens['alice']}\n")
    told = json.loads(result.stdout)
    broken = {check["name"]: check["fix"] for check in told["checks"] if check["state"] == "failed"}
    assert result.exit_code == (1 if broken else 0)
    return broken, {check["name"] for check in told["checks"]}


def test_a_way_that_is_whole(running):
    broken, seen = walk(running, running.url)
    assert (broken, seen) == ({}, ALL_WELL | {"buffering"})


def test_an_anthropic_model_is_spoken_to_in_its_protocol_and_counts_tokens(running):
    broken, seen = walk(running, running.url, model="claude-sim-1+events=20,gap=0.05")
    assert (broken, seen) == ({}, ALL_WELL | {"buffering", "count_tokens"})


@NGINX
def test_a_good_proxy(running, tmp_path):
    with nginx(running, tmp_path) as url:
        assert walk(running, url)[0] == {}


@NGINX
@pytest.mark.parametrize(
    ("how", "name", "mend"),
    [
        ({"server": "underscores_in_headers off;"}, "session_id header", "underscores_in_headers on"),
        ({"location": "proxy_buffering off;"}, "large requests", "client_max_body_size"),
        ({"location": f"{GOOD} proxy_set_header Authorization '';"}, "authentication", "Authorization header"),
        ({"location": f"{GOOD} auth_basic x; auth_basic_user_file /dev/null;"}, "proxy", "leads elsewhere"),
        ({"to": 1}, "proxy", "start Realms"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)  # fmt: skip
def test_a_proxy_that_breaks_the_way_is_named_with_the_mend(running, tmp_path, how, name, mend):
    with nginx(running, tmp_path, **how) as url:
        broken, _ = walk(running, url)
    assert list(broken) == [name]
    assert mend in broken[name]


def test_a_proxy_that_holds_events_back_is_named_with_the_mend(running):
    with holding_back(running) as url:
        broken, _ = walk(running, url)
    assert list(broken) == ["buffering"]
    assert "proxy_buffering off" in broken["buffering"]


def test_nothing_listens(running):
    assert list(walk(running, f"http://127.0.0.1:{free_port()}")[0]) == ["address"]


def test_a_name_that_nobody_knows(running):
    broken, _ = walk(running, "http://realms.invalid")
    assert "DNS" in broken["address"]


def test_a_token_that_nobody_knows(running):
    broken, seen = walk(running, running.url, token="sk_unknown")
    assert list(broken) == ["authentication"]
    assert "models" not in seen


def test_a_model_that_is_not_there(running):
    assert list(walk(running, running.url, model="nowhere")[0]) == ["models"]


def test_a_stream_that_breaks_off(running):
    broken, _ = walk(running, running.url, model="sim-1+events=20,gap=0.05,fault=cut_after:3")
    assert "stream" in broken


def test_an_answer_too_short_to_tell_is_no_fault(running):
    broken, seen = walk(running, running.url, model="sim-1+events=5")
    assert (broken, seen) == ({}, ALL_WELL | {"buffering"})
