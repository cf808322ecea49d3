"""The SDKs reach Realms through nginx, configured as `deploy/nginx.conf` says."""

import shutil
import ssl
import subprocess
import time

import openai
import pytest
import trustme

from tests.live import ROOT, free_port, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]


@pytest.fixture(scope="module")
def proxied(house, tmp_path_factory):
    """The address of an nginx before the house, and what to trust."""
    folder = tmp_path_factory.mktemp("nginx")
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(folder / "fullchain.pem")
    certificate.private_key_pem.write_to_path(folder / "privkey.pem")
    port = free_port()
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for theirs, ours in {
        "listen 80;": f"listen 127.0.0.1:{free_port()};",
        "listen 443 ": f"listen 127.0.0.1:{port} ",
        "127.0.0.1:8080": f"127.0.0.1:{house.port}",
        "/etc/ssl/realms": str(folder),
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} http {{ access_log off; {paths}\n"
    (folder / "nginx.conf").write_text(main + text + "}")
    command = ["nginx", "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    with subprocess.Popen(command) as process:
        try:
            until(lambda: (folder / "pid").exists() or process.poll() is not None)
            assert process.poll() is None, (folder / "error.log").read_text()
            yield f"https://localhost:{port}", context
        finally:
            process.terminate()


def test_events_come_one_by_one_and_a_client_that_leaves_is_noticed(proxied, house, sim):
    url, trust = proxied
    http_client = openai.DefaultHttpxClient(verify=trust)
    with openai.OpenAI(api_key=house.tokens["alice"], base_url=f"{url}/v1", http_client=http_client) as client:
        before = sim.control("GET", "stats")["aborted"]
        stream = client.responses.create(model="sim-1+events=400,gap=0.05", input="hello", stream=True)
        started = time.monotonic()
        for _ in zip(range(10), stream, strict=False):
            pass
        assert time.monotonic() - started < 5  # the whole of it takes 20 s
        stream.close()
        until(lambda: sim.control("GET", "stats")["aborted"] > before)


def test_a_websocket_is_refused_at_once(proxied, house):
    url, trust = proxied
    asked = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13", "sec-websocket-key": "x"}
    with openai.DefaultHttpxClient(verify=trust) as client:
        assert client.get(f"{url}/v1/responses", headers=asked).status_code == 426
