"""The official OpenAI SDK for Node calls every OpenAI endpoint."""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from app.protocol.endpoints import ENDPOINTS, Protocol
from tests.sdk.fixtures import MODELS, endpoint_of

SCRIPTS = Path(__file__).parent / "node"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "realms-tests" / "node"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def absent(why):
    """Skip, or fail where everything must be there."""
    told = f"the Node SDK is not tested: {why}"
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)


def install():
    """Install what the lock names, once for all workers and runs."""
    wanted = (SCRIPTS / "package-lock.json").read_bytes()
    done = CACHE / "installed"
    if done.exists() and done.read_bytes() == wanted:
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SCRIPTS / name, CACHE)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    told = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=300)
    if told.returncode:
        absent(f"npm ci failed: {told.stderr[-500:]}")
    done.write_bytes(wanted)


@pytest.fixture(scope="session")
def sdk_folder():
    """Where the SDK is installed: a cache outside of the repository."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        absent("there is no node and npm (20 or newer)")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install()
    return CACHE


@pytest.fixture(scope="module")
def driven(house, provider, sdk_folder):
    """What the script says it called, and what came."""
    provider.control("DELETE", "faults")
    done = subprocess.run(
        ["node", str(SCRIPTS / "drive.mjs")],
        env=os.environ
        | {"REALMS_URL": house.url, "REALMS_TOKEN": house.tokens["alice2"], "SDK_FOLDER": str(sdk_folder)},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_calls_every_openai_endpoint(driven):
    called = {endpoint_of(method, path) for method, path in driven["called"]}
    assert called == {each.name for each in ENDPOINTS if each.protocol is Protocol.OPENAI} | MODELS.keys()


def test_every_answer_is_what_the_sdk_promises(driven):
    errors = driven["told"].pop("errors")
    assert driven["told"] == {
        "response": "You said: hello",
        "requestId": True,
        "retrieved": True,
        "inputItems": ["hello"],
        "stream": ["response.created", "response.completed"],
        "replay": 4,
        "cancelled": "cancelled",
        "compacted": "compaction",
        "counted": True,
        "deleted": ["NotFoundError", 404, "response_not_found", True],
        "conversation": "tests",
        "conversationUpdated": "other",
        "items": ["first", "second"],
        "item": "first",
        "itemsLeft": 1,
        "conversationDeleted": True,
        "chat": "You said: hello",
        "chatStream": "You said: hello",
        "tool": {"name": "weather", "arguments": '{"city":"Bern"}'},
        "chatListed": True,
        "chatRetrieved": True,
        "chatUpdated": "blue",
        "chatMessages": ["hello"],
        "chatDeleted": True,
        "models": True,
        "model": "renamed",
    }
    assert errors == {
        "401": ["AuthenticationError", 401, "invalid_api_key", True],
        "404": ["NotFoundError", 404, "model_not_found", True],
        "400": ["BadRequestError", 400, "previous_response_not_found", True],
        "429": ["RateLimitError", 429, "rate_limit_exceeded", True],
        "502": ["InternalServerError", 502, "upstream_error", True],
    }
