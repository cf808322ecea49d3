"""A worker's health and affinity in a process of their own, told what to do line by line: ``python -m … URL``."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import time  # noqa: E402

import redis  # noqa: E402
import structlog  # noqa: E402
from gevent.fileobject import FileObjectThread  # noqa: E402

from app.protocol.call import Place  # noqa: E402
from app.services.affinity import Affinity  # noqa: E402
from app.services.health import Health  # noqa: E402
from app.services.load import Load  # noqa: E402
from app.services.shared_board import SharedBoard  # noqa: E402
from app.upstreams.verdict import Scope, Verdict  # noqa: E402


def _at(upstream):
    """Where a call is that counts for an upstream, told by its key."""
    return Place(int(upstream.removeprefix("u:")), 0, "openai", "http://127.0.0.1:9/v1", "")


def main(url):
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    client = redis.Redis.from_url(url, decode_responses=True, socket_timeout=0.25, socket_connect_timeout=0.25)
    board = SharedBoard(client)
    health, load, affinity = Health(board, cooldown_s=30), Load(board), Affinity(board, life_s=60)
    board.start()
    load.start()

    def fail(key, rest_s):
        verdict = Verdict(scope=Scope.UPSTREAM, reason="told", rest_s=float(rest_s) or None, at_once=True)
        health.failed(key, verdict, time.time(), trial=False)

    commands = {
        "fail": fail,
        "state": lambda key: health.state([key], time.time()).name,
        "succeed": lambda key: health.succeeded([key], time.time()),
        "claim": lambda key: board.claim(key, life_s=60),
        "release": board.release,
        "bind": lambda key, n: affinity.bind(key, int(n)),
        "bound": affinity.of,
        "begin": lambda upstream: load.begin(_at(upstream)),
        "end": lambda upstream: load.end(_at(upstream)),
        "load": load.of,
    }
    for line in FileObjectThread(sys.stdin):
        name, *arguments = line.split()
        since = time.monotonic()
        told = commands[name](*arguments)
        print(f"{told} {time.monotonic() - since:.3f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
