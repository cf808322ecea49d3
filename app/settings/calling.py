"""What calls may cost, and where they may go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from app.settings.values import Network, Topic, http_url, networks


class Calling(Topic):
    """Sizes, times, the choice among upstreams, and the networks that may be reached."""

    # What callers may send, and how long anyone may take
    body_max_mb: float = Field(default=32, gt=0, le=1024)
    body_s: float = Field(default=30, gt=0)
    heartbeat_s: float = Field(default=15, ge=0)
    write_s: float = Field(default=60, gt=0)
    connect_s: float = Field(default=10, gt=0)
    first_byte_s: float = Field(default=300, gt=0)
    stream_idle_s: float = Field(default=300, gt=0)
    stream_total_s: float = Field(default=3600, gt=0)
    auth_stale_max_s: float = Field(default=600, gt=0)

    # How it chooses among upstreams
    attempts_max: int = Field(default=4, ge=1, le=20)
    opening_s: float = Field(default=0.25, ge=0, le=60)
    cooldown_failures: int = Field(default=3, ge=1, le=100)
    cooldown_window_s: float = Field(default=30, gt=0, le=3600)
    cooldown_s: float = Field(default=30, ge=0, le=600)
    queue_wait_s: float = Field(default=0, ge=0, le=600)
    affinity_s: float = Field(default=3600, gt=0, le=604_800)

    # What it may reach
    egress_allow: tuple[Network, ...] = ()
    ca_file: Path | None = None
    codex_login_url: str = "https://auth.openai.com"

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _reached(cls, value: Any) -> Any:
        return networks(value)

    @field_validator("codex_login_url")
    @classmethod
    def _signed_in_at(cls, value: str) -> str:
        return http_url(value)
