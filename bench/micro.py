"""What each station of the relay costs alone, in µs: ``python -m bench.micro [WORD...]`` (only names with a word).

The least of many short batches, so that it hardly matters who else is at work on the machine.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import io  # noqa: E402 - nothing may be imported before the patch
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections import deque  # noqa: E402
from collections.abc import Callable, Iterable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402

import msgspec  # noqa: E402
import requests  # noqa: E402
from gunicorn.config import Config  # noqa: E402
from gunicorn.http import wsgi  # noqa: E402
from gunicorn.http.parser import RequestParser  # noqa: E402
from werkzeug.test import EnvironBuilder  # noqa: E402

from app import create_app  # noqa: E402
from app.protocol import body as bodies  # noqa: E402
from app.protocol import sse  # noqa: E402
from app.protocol.call import Caller, Target  # noqa: E402
from app.protocol.envelope import parse  # noqa: E402
from app.protocol.headers import to_client, to_upstream  # noqa: E402
from app.protocol.limit import Measure, Rule  # noqa: E402
from app.protocol.price import Price, Rates, Tariff, bill  # noqa: E402
from app.protocol.record import End, Record, line_of  # noqa: E402
from app.protocol.story import STORIES  # noqa: E402
from app.protocol.usage import from_object  # noqa: E402
from app.relay.answer import Answer  # noqa: E402
from app.relay.trace import Trace  # noqa: E402
from app.relay.transport import RelayRequest, _message  # noqa: E402
from app.services.counters import Counters  # noqa: E402
from app.services.journal import Journal  # noqa: E402
from app.services.limits import Limits  # noqa: E402
from app.upstreams import UPSTREAMS  # noqa: E402
from app.upstreams.verdict import judge  # noqa: E402
from bench.cases import CASES  # noqa: E402
from bench.given import (  # noqa: E402
    ANSWER,
    ENVIRON,
    HEAD,
    PLACE,
    Granted,
    Nowhere,
    Opening,
    Unspent,
    answer_body,
    call,
    chat_events,
    request_body,
    typed_events,
)
from bench.house import furnish, settings_for  # noqa: E402
from bench.placing import Fixed, placing_stations  # noqa: E402
from bench.processes import build, free_port, upstream  # noqa: E402

BATCH_S, STATION_S = 0.0005, 0.4
Station = Callable[[], object]


def limited(
    small: bytes, record: Record, price: Price, measures: Iterable[Measure], counters: Counters | None = None
) -> Station:
    rules = tuple(Rule("user", 1, measure, 10**15) for measure in measures)
    chat = msgspec.structs.replace(call("chat.create", small), caller=Caller(1, 1, "mark", rules=rules))
    far = Fixed(20)
    entry = msgspec.structs.replace(far.snapshot.models["gpt-5"], prices=(price,))
    far.snapshot.models["gpt-5"] = entry
    limits = Limits(far, counters or Counters(), Unspent())
    ended = msgspec.structs.replace(record, id=chat.id, cost=5)

    def station() -> None:
        limits.acquire(chat, "c" * 32)
        limits.settle(ended)

    return station


def gunicorn_stations(raw: bytes) -> Iterator[tuple[str, Station]]:
    message, config, client = HEAD % len(raw) + raw, Config(), ("127.0.0.1", 5000)

    def parsed():
        request = next(RequestParser(config, iter([message]), client))
        request.body.read()
        return request

    request = parsed()
    yield "gunicorn: parse a request of 1 KB", parsed
    yield "gunicorn: environ", lambda: wsgi.create(request, Nowhere(), client, ("127.0.0.1", 8080), config)


def way_in(small: bytes, large: bytes) -> Iterator[tuple[str, Station]]:
    chat = call("chat.create", small)
    target = Target(PLACE, "gpt-upstream")
    outgoing = UPSTREAMS["openai"].prepare(chat, Target(PLACE))
    request = RelayRequest(
        outgoing.method, outgoing.url, headers=dict(outgoing.headers), body=outgoing.body, proxy=None
    )
    yield "envelope.parse, 1 KB", lambda: parse(small)
    yield "envelope.parse, 100 KB", lambda: parse(large)
    yield "envelope.with_members, 1 KB", lambda: chat.body.with_members({"model": b'"other"'})
    yield "headers.to_upstream", lambda: to_upstream(ENVIRON)
    yield from placing_stations(chat)
    yield "adapter.prepare", lambda: UPSTREAMS["openai"].prepare(chat, Target(PLACE))
    yield "adapter.prepare, model renamed", lambda: UPSTREAMS["openai"].prepare(chat, target)
    yield "transport: the request's bytes", lambda: _message(request)


def way_out(small: bytes) -> Iterator[tuple[str, Station]]:
    chat = call("chat.create", small)
    told = answer_body(1000)
    message = ANSWER % (len(told), told)

    def answered():
        answer = Answer(Nowhere(message), done=lambda _: None)
        answer.read_head()
        return answer.read1()

    def settled():
        trace = Trace(chat, Nowhere())
        trace.attempted(PLACE, model="", since=chat.started, status=200)
        trace.sent(told)
        trace.settle(End.COMPLETED, status=200)

    headers = [("content-type", "application/json"), ("x-request-id", "req_1"), ("content-length", "1000")]
    usage = {"prompt_tokens": 25, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 3}}
    yield "answer: head and body of 1 KB", answered
    yield "requests.Response()", requests.Response
    yield "judge, 200", lambda: judge(200, {}, b"", call=chat)
    yield "judge, 429", lambda: judge(429, {"retry-after": "1"}, b'{"error":{}}', call=chat)
    yield "body.read, 1 KB", lambda: bodies.read(told)
    yield "body.with_model, 1 KB", lambda: bodies.with_model(told, "other")
    yield "headers.to_client", lambda: to_client(headers)
    yield "usage.from_object", lambda: from_object(usage)
    yield "trace: attempted, sent, settled", settled


def records(folder: Path, small: bytes) -> Iterator[tuple[str, Station]]:
    kept, journal = Nowhere(), Journal(folder)
    Trace(call("chat.create", small), kept).settle(End.COMPLETED, status=200)
    trace = Trace(call("chat.create", small), Opening(journal))
    yield "journal.append", lambda: journal.append(kept.last.id, line_of(kept.last))
    yield "trace.begin: a line when a call begins", trace.begin
    rates = Rates(input=1_250_000_000, cache_read=125_000_000, output=10_000_000_000)
    price = Price(1, 0.0, Tariff(rates))
    used = from_object({"prompt_tokens": 25, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 3}})
    yield "price.bill", lambda: bill(price, used)
    three = Measure.REQUESTS, Measure.CONCURRENT, Measure.MONTH
    yield "limits: acquire, settle; of none", limited(small, kept.last, price, ())
    yield "limits: acquire, settle; of three", limited(small, kept.last, price, three)
    yield "limits: acquire, settle; of eight", limited(small, kept.last, price, Measure)
    yield "limits: acquire, settle; of eight, from chunks", limited(small, kept.last, price, Measure, Granted())


def streams(small: bytes) -> Iterator[tuple[str, Station]]:
    """Each figure is for one event, of blocks of 100."""
    chat = chat_events(100)
    cut = chat[: len(chat) // 2 + 7], chat[len(chat) // 2 + 7 :]
    splitter = sse.Splitter()
    yield "Splitter.feed, whole events /100", lambda: splitter.feed(chat)
    yield "Splitter.feed, an event cut in two /100", lambda: [splitter.feed(piece) for piece in cut]
    for name, block, more in (
        ("chat.create", chat, {}),
        ("chat.create", chat, {"hides_usage": True}),
        ("chat.create", chat, {"rename": "other"}),
        ("responses.create", typed_events("response.output_text.delta", 100), {}),
        ("messages.create", typed_events("content_block_delta", 100), {}),
    ):
        made = call(name, small, stream=True)
        told = f"Story.take, {name} {', '.join(more)}".strip()
        story = STORIES[made.endpoint.shape](made, **more)
        yield f"{told} /100", lambda story=story, block=block: story.take(block)
        one = block[: len(block) // 100]
        yield f"{told}, one event", lambda story=story, one=one: story.take(one)


@contextmanager
def whole_calls(folder: Path) -> Iterator[list[tuple[str, Station]]]:
    """The WSGI application with everything behind it, called without gunicorn; CPU of this thread alone."""
    with upstream() as source:
        settings = settings_for(free_port(), folder, f"sqlite:///{folder / 'realms.db'}")
        token = furnish(settings, source.port)
        app = create_app(settings)
        app.extensions["realms.house"].start()

        def called(path: str, raw: bytes = b"") -> Station:
            environ = EnvironBuilder(path, method="POST" if raw else "GET", data=raw).get_environ() | ENVIRON
            environ |= {"HTTP_AUTHORIZATION": f"Bearer {token}", "REQUEST_METHOD": "POST" if raw else "GET"}

            def station():
                answer = app(environ | {"wsgi.input": io.BytesIO(raw)}, lambda *_: None)
                deque(answer, maxlen=0)
                answer.close()

            return station

        small = request_body(10, model=CASES["small"].model)
        streamed = request_body(10, model=CASES["stream"].model, stream=True)
        yield [
            ("all but gunicorn: GET /livez", called("/livez")),
            ("all but gunicorn: a small call", called(CASES["small"].path, small)),
            ("all but gunicorn: a stream of 100 events", called(CASES["stream"].path, streamed)),
        ]


def least_us(station: Station) -> float:
    """Return the least CPU time of a call."""
    station()
    number, least = 1, 0.0
    end = time.thread_time() + STATION_S  # its own, too: who gets little of the machine would hardly try
    while time.thread_time() < end:
        start = time.thread_time()
        for _ in range(number):
            station()
        took = time.thread_time() - start
        if took < BATCH_S / 2:  # too short to be measured well
            number *= 2
            continue
        least = min(least or took / number, took / number)
    return least * 1e6


@contextmanager
def stations() -> Iterator[list[tuple[str, Station]]]:
    small, large = request_body(1000), request_body(100_000)
    with tempfile.TemporaryDirectory() as folder, whole_calls(Path(folder)) as whole:
        yield [
            *gunicorn_stations(small),
            *way_in(small, large),
            *way_out(small),
            *records(Path(folder) / "journal-alone", small),
            *streams(small),
            *whole,
        ]


def main() -> None:
    """Print a table."""
    words = sys.argv[1:]
    build()
    with stations() as found:
        wanted = [(name, station) for name, station in found if not words or any(word in name for word in words)]
        costs = [(name, least_us(station)) for name, station in wanted]
    for name, cost in costs:  # after all that the calls have logged
        share = 100 if name.endswith("/100") else 1
        print(f"{cost / share:9.2f} µs  {name.replace(' /100', ', an event')}")


if __name__ == "__main__":
    main()
