"""The Redis that several workers share, where there is one; and what to do while it is away."""

from __future__ import annotations

import gevent
import redis
import structlog

from app.settings import Settings

TIMEOUT_S = 0.2
"""A call waits no longer for Redis, and after that none does: with all else a quarter of a second, once."""
REST_S = 1.0
PROBE = "realms:probe"
AWAY = (redis.RedisError, OSError)
"""What is raised where it is away."""
log = structlog.get_logger()


def connect(settings: Settings) -> redis.Redis | None:
    """Return a client, which connects when it is first used; None where no Redis is configured."""
    url = settings.redis_url.get_secret_value()
    if not url:
        return None
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, decode_responses=True)


def trouble(settings: Settings) -> str:
    """Return why the configured Redis can't be used; empty where it can be, or where none is."""
    client = connect(settings)
    if client is None:
        return ""
    try:
        client.ping()
    except redis.RedisError as error:
        return str(error) or type(error).__name__
    finally:
        client.close()
    return ""


def channel(client: redis.Redis, name: str) -> str:
    """Return the channel of that name among those who share this database: a server's channels know no databases.

    https://redis.io/docs/latest/develop/pubsub/#database--scoping
    """
    return f"realms:{name}:{client.connection_pool.connection_kwargs.get('db', 0)}"


class Breaker:
    """Remembers that Redis is away, so that a call waits at most once to find out; looks for it beside the calls."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._away = False

    @property
    def closed(self) -> bool:
        """Whether Redis may be asked."""
        return not self._away

    @property
    def away(self) -> bool:
        """Whether Redis didn't answer when it was last asked."""
        return self._away

    def failed(self, error: Exception) -> None:
        """It did not answer, or not as it should."""
        if not self._away:
            self._away = True
            log.warning("redis_away", error=type(error).__name__)
            gevent.spawn(self._look_for_it)

    def _look_for_it(self) -> None:
        """Wait until it takes something again: one whose memory is full answers, and is of no use."""
        while self._away:
            gevent.sleep(REST_S)
            try:
                self._client.set(PROBE, "1", px=1000)
            except AWAY:
                continue
            self._away = False
            log.info("redis_back")
