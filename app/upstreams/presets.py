"""PRESETS: what a new upstream starts from, for the providers and servers that people use most.

Sources: each one's own API documentation, 2026. A preset is only a beginning: the policy can be changed afterwards, and
what it doesn't know is learned from answers.
"""

from __future__ import annotations

import msgspec

from app.protocol.policy import Policy

_CHAT = ("chat.create",)
_CHAT_AND_RESPONSES = ("chat.create", "responses.create")


class Preset(msgspec.Struct, frozen=True):
    """A beginning: the kind, the base URL (empty: the operator has to give it), and the policy."""

    label: str
    kind: str
    base_url: str = ""
    policy: Policy = Policy()


PRESETS: dict[str, Preset] = {
    "openai": Preset("OpenAI", "openai", "https://api.openai.com/v1"),
    "azure": Preset("Azure OpenAI (v1)", "openai", "", Policy(auth="api-key")),
    "openrouter": Preset(
        "OpenRouter", "openai", "https://openrouter.ai/api/v1", Policy(endpoints=_CHAT_AND_RESPONSES, store=False)
    ),
    "deepseek": Preset("DeepSeek", "openai", "https://api.deepseek.com", Policy(endpoints=_CHAT, store=False)),
    "ollama": Preset(
        "Ollama",
        "openai",
        "http://127.0.0.1:11434/v1",
        Policy(endpoints=_CHAT_AND_RESPONSES, auth="none", store=False),
    ),
    "vllm": Preset("vLLM", "openai", "http://127.0.0.1:8000/v1", Policy(endpoints=_CHAT_AND_RESPONSES, store=False)),
    "openai-compatible": Preset("another OpenAI-compatible server", "openai", "", Policy(store=False)),
    "codex": Preset("Codex (ChatGPT accounts)", "codex_oauth", "https://chatgpt.com/backend-api/codex"),
    "anthropic": Preset("Anthropic", "anthropic", "https://api.anthropic.com"),
    "anthropic-compatible": Preset("another Anthropic-compatible server", "anthropic"),
}
"""Every preset by the name that the command line and the form know it by."""


def policy_of(name: str) -> Policy:
    """Return the policy that a preset begins with."""
    return msgspec.structs.replace(PRESETS[name].policy, preset=name)
