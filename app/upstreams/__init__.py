"""Adapters, one file per kind of upstream. The dict below is the list: forms, checks and docs come from it."""

from app.upstreams.anthropic import Anthropic
from app.upstreams.base import Adapter
from app.upstreams.codex_oauth import CodexOAuth
from app.upstreams.openai import OpenAI

UPSTREAMS: dict[str, Adapter] = {adapter.kind: adapter for adapter in (OpenAI(), Anthropic(), CodexOAuth())}
"""Every kind by its name, as it stands in the database and on the command line."""
