"""What to paste where: every client's set-up in one list, so that tests can run each of them as it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

from flask_babel import LazyString
from flask_babel import lazy_gettext as _l

OPENAI, ANTHROPIC = "openai", "anthropic"
ENV = "REALMS_TOKEN"
PLACEHOLDER = "sk_..."


@dataclass(frozen=True, slots=True)
class Snippet:
    """One text to paste. ``$base``, ``$model`` and ``$token`` are filled in; ``language`` says how a test runs it."""

    id: str
    title: str | LazyString
    language: str
    protocol: str
    text: str


@dataclass(frozen=True, slots=True)
class Client:
    """A program that speaks to Realms, and what to paste for it, in order."""

    id: str
    name: str
    note: str | LazyString
    parts: tuple[Snippet, ...]


def render(snippet: Snippet, base: str, model: str, *, token: str = PLACEHOLDER) -> str:
    """Return ``snippet`` for the server at ``base``. Never more than its three words is filled in."""
    text = Template(snippet.text).safe_substitute(base=base, model=_plain(model), token=token)
    return text.strip("\n")


def _plain(model: str) -> str:
    """Leave out what could end a quoted string in a shell, TOML, JSON, Python or JavaScript."""
    return "".join(c for c in model if c.isprintable() and c not in "'\"\\`$")


CHAT = """
curl $base/v1/chat/completions \\
  -H "Authorization: Bearer $token" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "$model", "messages": [{"role": "user", "content": "Say hello."}]}'
"""
MESSAGES = """
curl $base/v1/messages \\
  -H "Authorization: Bearer $token" \\
  -H "anthropic-version: 2023-06-01" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "$model", "max_tokens": 100, "messages": [{"role": "user", "content": "Say hello."}]}'
"""

PROOFS = (
    Snippet("proof-openai", _l("OpenAI protocol"), "shell", OPENAI, CHAT),
    Snippet("proof-anthropic", _l("Anthropic protocol"), "shell", ANTHROPIC, MESSAGES),
)
"""The commands that prove a new token; the token stands in them."""


def _from_environment(text: str) -> str:
    return text.replace("$token", f"$${ENV}")


def _streaming(text: str) -> str:
    return text.replace("curl ", "curl -N ").replace('{"model": "$model", ', '{"model": "$model", "stream": true, ')


def _token_line(owner: str) -> Snippet:
    return Snippet(f"{owner}-token", _l("In the shell"), "shell", OPENAI, f'export {ENV}="$token"')


CLIENTS = (
    Client(
        "codex",
        "Codex CLI",
        _l("Codex reads its token from the environment."),
        (
            _token_line("codex"),
            Snippet(
                "codex-config",
                "~/.codex/config.toml",
                "toml",
                OPENAI,
                f"""
model = "$model"
model_provider = "realms"

[model_providers.realms]
name = "Realms"
base_url = "$base/v1"
env_key = "{ENV}"
wire_api = "responses"
""",
            ),
        ),
    ),
    Client(
        "claude-code",
        "Claude Code",
        _l("Set these before you start it; the token goes as a bearer token."),
        (
            Snippet(
                "claude-code-env",
                _l("In the shell"),
                "shell",
                ANTHROPIC,
                """
export ANTHROPIC_BASE_URL="$base"
export ANTHROPIC_AUTH_TOKEN="$token"
export ANTHROPIC_MODEL="$model"
""",
            ),
        ),
    ),
    Client(
        "openai",
        "OpenAI SDK",
        _l("Only the base URL and the key change."),
        (
            Snippet(
                "openai-python",
                "Python",
                "python",
                OPENAI,
                f"""
import os

from openai import OpenAI

client = OpenAI(base_url="$base/v1", api_key=os.environ["{ENV}"])
response = client.responses.create(model="$model", input="Say hello.")
print(response.output_text)
""",
            ),
            Snippet(
                "openai-node",
                "Node.js",
                "javascript",
                OPENAI,
                f"""
import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "$base/v1", apiKey: process.env.{ENV} }});
const response = await client.responses.create({{ model: "$model", input: "Say hello." }});
console.log(response.output_text);
""",
            ),
        ),
    ),
    Client(
        "anthropic",
        "Anthropic SDK",
        _l("The base URL has no /v1 at its end."),
        (
            Snippet(
                "anthropic-python",
                "Python",
                "python",
                ANTHROPIC,
                f"""
import os

from anthropic import Anthropic

client = Anthropic(base_url="$base", auth_token=os.environ["{ENV}"])
message = client.messages.create(
    model="$model",
    max_tokens=100,
    messages=[{{"role": "user", "content": "Say hello."}}],
)
print(message.content[0].text)
""",
            ),
            Snippet(
                "anthropic-node",
                "Node.js",
                "javascript",
                ANTHROPIC,
                f"""
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({{ baseURL: "$base", authToken: process.env.{ENV} }});
const message = await client.messages.create({{
  model: "$model",
  max_tokens: 100,
  messages: [{{ role: "user", content: "Say hello." }}],
}});
console.log(message.content[0].text);
""",
            ),
        ),
    ),
    Client(
        "curl",
        "curl",
        _l("With -N the events of a stream are shown as they come."),
        (
            _token_line("curl"),
            Snippet("curl-openai", _l("OpenAI protocol"), "shell", OPENAI, _from_environment(CHAT)),
            Snippet(
                "curl-openai-stream",
                _l("OpenAI protocol, streaming"),
                "shell",
                OPENAI,
                _streaming(_from_environment(CHAT)),
            ),
            Snippet("curl-anthropic", _l("Anthropic protocol"), "shell", ANTHROPIC, _from_environment(MESSAGES)),
            Snippet(
                "curl-anthropic-stream",
                _l("Anthropic protocol, streaming"),
                "shell",
                ANTHROPIC,
                _streaming(_from_environment(MESSAGES)),
            ),
        ),
    ),
)
"""Every client, in the order of the page."""
