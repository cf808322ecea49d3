"""Snippets: filled with this host and a served model, and each of them sound in its language."""

import ast
import json
import re
import shutil
import subprocess
import tomllib

import pytest

from app.console.snippets import ANTHROPIC, CLIENTS, OPENAI, PROOFS, render
from app.services import catalog, upstreams
from tests.rooms import UPSTREAM_KEY

HOST = "https://realms.example.com"
PARTS = [part for client in CLIENTS for part in client.parts] + list(PROOFS)
MODELS = ["gpt-5", "org/model:7b", "ev'il\"`$(id)\\", "模型"]


def by_language(language):
    return pytest.mark.parametrize("part", [p for p in PARTS if p.language == language], ids=lambda part: part.id)


@pytest.mark.parametrize("model", MODELS)
@by_language("python")
def test_python_parses(part, model):
    tree = ast.parse(render(part, HOST, model))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    urls = [k.value.value for call in calls for k in call.keywords if k.arg == "base_url"]
    assert urls == [HOST + ("/v1" if part.protocol == OPENAI else "")]


@pytest.mark.parametrize("model", MODELS)
@by_language("toml")
def test_toml_parses(part, model):
    config = tomllib.loads(render(part, HOST, model))
    provider = config["model_providers"][config["model_provider"]]
    assert provider["base_url"] == f"{HOST}/v1"
    assert provider["wire_api"] == "responses"
    assert provider["env_key"] == "REALMS_TOKEN"


@pytest.mark.parametrize("model", MODELS)
@by_language("shell")
def test_shell_parses_and_runs_nothing_hidden(part, model):
    """Run with a curl that prints its arguments instead of calling anybody."""
    text = "curl() { printf '%s\\n' \"$@\"; }\n" + render(part, HOST, model, token="sk_x")
    done = subprocess.run(
        ["bash", "-euc", text], env={"REALMS_TOKEN": "sk_x"}, capture_output=True, text=True, check=True
    )
    assert "uid=" not in done.stdout
    if "curl" in part.id or "proof" in part.id:
        if "-token" in part.id:
            return
        lines = done.stdout.splitlines()
        assert "Authorization: Bearer sk_x" in lines
        body = json.loads(lines[-1])
        assert body["messages"]
        assert body.get("stream", False) == ("stream" in part.id)
        assert ("-N" in lines) == ("stream" in part.id)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@by_language("javascript")
def test_javascript_parses(part, tmp_path):
    file = tmp_path / "snippet.mjs"
    file.write_text(render(part, HOST, MODELS[2]))
    subprocess.run(["node", "--check", file], check=True, capture_output=True)


def test_ids_are_unique():
    assert len({part.id for part in PARTS}) == len(PARTS)


def codes(page):
    return [code.get_text() for code in page.soup.select(".code code")]


def test_snippets_speak_of_this_host_and_a_model_of_their_protocol(app, alice_there, furnished):
    with app.app_context():
        other = upstreams.create(
            name="claude", kind="anthropic", base_url="", key=UPSTREAM_KEY, priority=0, weight=1, actor=None
        )
        catalog.import_models(other.id, {"claude-opus": None, "wild-*": None}, actor=None)
    texts = codes(alice_there.get("/connect"))
    for text in texts:
        assert "http://127.0.0.1:8080" in text or text.startswith("export REALMS_TOKEN")
        models = set(re.findall(r"claude-opus|gpt-5|small|wild", text))
        if "/v1/messages" in text or "ANTHROPIC" in text or "nthropic" in text:
            assert models == {"claude-opus"}, text
        elif models:
            assert models == {"gpt-5"}, text
    assert furnished not in "".join(texts)


def test_a_model_of_ones_choice(alice_there, furnished):
    page = alice_there.get("/connect?model=small")
    assert sum('"small"' in text for text in codes(page)) == len([p for c in CLIENTS for p in c.parts]) - 2
    assert page.soup.find(id="model")["value"] == "small"


def test_a_hostile_model_in_the_address_is_only_text(alice_there, furnished):
    page = alice_there.get('/connect?model="><script>alert(1)</script>')
    assert "<script>alert" not in page.html


def test_nothing_is_served_yet(app, alice_there, admin_there):
    assert "Ask your administrator" in alice_there.get("/connect").text
    assert admin_there.get("/connect").soup.main.find("a", href="/admin/models")


def test_a_token_for_some_models_is_proved_with_one_of_them(app, alice_there, furnished):
    answer = alice_there.submit("/tokens/new", {"name": "x", "scope": "some", "models": ["small"]})
    text = "".join(codes(alice_there.get(answer.location)))
    assert '"model": "small"' in text
    assert "gpt-5" not in text


def test_both_protocols_are_there():
    assert {part.protocol for part in PARTS} == {OPENAI, ANTHROPIC}


def test_a_chosen_token_names_its_end_and_its_models(app, alice_there, furnished):
    answer = alice_there.submit("/tokens/new", {"name": "desk", "scope": "some", "models": ["small"]})
    secret = re.search(r"sk_[A-Za-z0-9_-]{43}", alice_there.get(answer.location).html)[0]
    page = alice_there.get("/connect?token=2")
    texts = "".join(codes(page))
    assert f"sk_...{secret[-4:]}" in texts
    assert secret not in page.html
    assert furnished not in page.html
    assert '"small"' in texts
    assert "gpt-5" not in page.soup.main.get_text()
    assert [o["value"] for o in page.soup.select("#models option")] == ["small"]
    assert page.soup.find("select", id="token").find("option", selected=True)["value"] == "2"
    assert alice_there.get("/tokens").soup.main.find("a", href="/connect?token=2")
    refused = alice_there.get("/connect?token=2&model=gpt-5")
    assert "desk may not use the model gpt-5" in refused.text


def test_only_tokens_of_ones_own_that_work_are_to_be_chosen(app, alice_there, admin_there, furnished):
    alice_there.submit("/tokens/new", {"name": "gone"})
    alice_there.submit("/tokens/2/revoke", {})
    admin_there.submit("/tokens/new", {"name": "theirs"})
    for number in ("2", "3", "99", "x"):
        page = alice_there.get(f"/connect?token={number}")
        assert [o["value"] for o in page.soup.select("#token option")] == ["", "1"]
        assert not page.soup.select("#token option[selected]")
        assert "theirs" not in page.text
