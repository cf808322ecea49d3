"""Where it runs, and who may look at it."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr, field_validator

from app.settings.values import Network, Topic, http_url, networks, words


class Running(Topic):
    """The server's own address, size and end; metrics and alerts."""

    bind: str = "127.0.0.1:8080"
    public_url: str = ""
    workers: int = Field(default=0, ge=0, le=256)
    worker_connections: int = Field(default=0, ge=0, le=1_000_000)
    keepalive_s: int = Field(default=5, ge=1, le=3600)
    drain_s: float = Field(default=595, ge=0.1, le=86_400)
    fast: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    cors_origins: tuple[str, ...] = ()

    metrics_token: SecretStr = SecretStr("")
    metrics_allow: tuple[Network, ...] = ()
    alert_url: SecretStr = SecretStr("")

    @field_validator("trusted_proxies", "metrics_allow", mode="before")
    @classmethod
    def _peers(cls, value: Any) -> Any:
        return networks(value)

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: Any) -> Any:
        return tuple(words(value)) if isinstance(value, str) else value

    @field_validator("bind")
    @classmethod
    def _host_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("must be host:port, for example 127.0.0.1:8080")
        return value

    @field_validator("public_url")
    @classmethod
    def _opened_by_browsers(cls, value: str) -> str:
        return http_url(value)
