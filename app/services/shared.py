"""The Redis that several workers share, where there is one; and what to do while it is away."""

from __future__ import annotations

import time

import redis
import structlog

from app.settings import Settings

TIMEOUT_S = 0.25
"""A call waits no longer for Redis, and then for a while not at all."""
REST_S = 1.0
log = structlog.get_logger()


def connect(settings: Settings) -> redis.Redis | None:
    """Return a client, which connects when it is first used; None where no Redis is configured."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True)


class Breaker:
    """Remembers that Redis is away, so that not every call waits to find out."""

    def __init__(self) -> None:
        self._rests_until = 0.0
        self._away = False

    @property
    def closed(self) -> bool:
        """Whether Redis may be asked."""
        return time.monotonic() >= self._rests_until

    def failed(self, error: Exception) -> None:
        """It did not answer."""
        self._rests_until = time.monotonic() + REST_S
        if not self._away:
            self._away = True
            log.warning("redis_away", error=type(error).__name__)

    def answered(self) -> None:
        """It did."""
        if self._away:
            self._away = False
            log.info("redis_back")
