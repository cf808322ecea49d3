"""Tells OpenTelemetry of settled calls: a span for each, and one beneath it for each attempt.

Off unless the environment names a receiver, in OpenTelemetry's own words, and the extra is installed. A call leaves
its record here and goes on; spans are made of it afterwards, and sent aside. They hold nothing of what was said.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent
import structlog

from app.protocol.endpoints import BY_NAME, Endpoint, Shape
from app.protocol.record import Attempt, End, Record
from app.services.directory import Directory
from app.settings import VERSION, traces_wanted

if TYPE_CHECKING:
    from opentelemetry.trace import Span

EVERY_S = 0.25
PORTION = 50
"""Calls whose spans are made in one go, before others have their turn."""
WAITING_MAX = 10_000
"""Records that may wait; older ones are let go."""
BATCH = 64
"""Spans that are encoded in one go: more would hold streams up."""
FLUSH_S = 2.0
"""How long the end of a worker may wait for a receiver: the exporter alone would wait minutes for one that is away."""
PROVIDERS = {"openai": "openai", "codex_oauth": "openai", "anthropic": "anthropic"}
CHATS = frozenset({Shape.RESPONSES, Shape.CHAT, Shape.MESSAGES})
FINE = frozenset({End.COMPLETED, End.PENDING})
OPERATION, MODEL, PROVIDER = "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.provider.name"
log = structlog.get_logger()


class Traces:
    """One worker's."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._waiting: deque[Record] = deque(maxlen=WAITING_MAX)
        self._spans: Spans | None = None

    def add(self, record: Record) -> None:
        """Take note of a settled call; quick, for its client waits."""
        self._waiting.append(record)

    def start(self) -> None:
        """Begin to tell, in this worker's hub."""
        try:
            self._spans = Spans(self._directory)
        except ImportError:
            log.warning("traces_not_installed", fix="run make otel, or unset OTEL_EXPORTER_OTLP_*")
            return
        gevent.spawn(self._tell_for_ever)

    def stop(self) -> None:
        """Tell what waits, at the end of a worker's life, if that is quick."""
        if self._spans is not None:
            while self._waiting:
                self._tell()
            self._spans.flush()

    def _tell_for_ever(self) -> None:
        while True:
            gevent.sleep(0 if self._waiting else EVERY_S)
            self._tell()

    def _tell(self) -> None:
        for _ in range(min(PORTION, len(self._waiting))):
            self._spans.tell(self._waiting.popleft())  # type: ignore[union-attr]


class Spans:
    """Makes spans of records. Raises ``ImportError`` where the extra isn't installed."""

    def __init__(self, directory: Directory) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        _listen()
        resource = Resource.create({"service.version": VERSION})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "realms"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._exporter = OTLPSpanExporter()
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, max_export_batch_size=BATCH))
        self._tracer = self._provider.get_tracer("realms", VERSION)
        self._continued = TraceContextTextMapPropagator()
        self._trace = trace
        self._directory = directory

    def tell(self, record: Record) -> None:
        """Make the spans of one call, in the trace that its client began, if it began one."""
        from opentelemetry.context import Context

        endpoint = BY_NAME[record.endpoint]
        parent = self._continued.extract({"traceparent": record.traceparent}, Context())
        span = self._tracer.start_span(
            f"{operation(endpoint)} {record.model}".strip(),
            parent,
            self._trace.SpanKind.SERVER,
            attributes=dict(of_call(record, endpoint)),
            start_time=_nanos(record, 0),
        )
        within = self._trace.set_span_in_context(span, Context())
        for n, attempt in enumerate(record.attempts):
            self._tell_attempt(record, n, attempt, within)
        if record.end not in FINE:
            self._fail(span, record.reason or record.end)
        span.end(_nanos(record, record.total_ms))

    def flush(self) -> None:
        """Send what was made, if that is quick."""
        hurry = threading.Timer(FLUSH_S, self._exporter.shutdown)
        hurry.start()
        with suppress(gevent.Timeout), gevent.Timeout(FLUSH_S + 1):
            self._provider.force_flush()
        hurry.cancel()

    def _tell_attempt(self, record: Record, n: int, attempt: Attempt, within: Any) -> None:
        entry = self._directory.snapshot.upstreams.get(attempt.upstream_id)
        serves = n == len(record.attempts) - 1 and not attempt.error
        span = self._tracer.start_span(
            f"{operation(BY_NAME[record.endpoint])} {record.upstream_model}".strip(),
            within,
            self._trace.SpanKind.CLIENT,
            attributes=dict(of_attempt(record, attempt, PROVIDERS.get(entry.kind, "") if entry else "", serves=serves)),
            start_time=_nanos(record, attempt.after_ms),
        )
        if attempt.error:
            self._fail(span, attempt.error)
        span.end(_nanos(record, max(record.total_ms if serves else 0, attempt.after_ms + attempt.total_ms)))

    def _fail(self, span: Span, why: str) -> None:
        span.set_attribute("error.type", why)
        span.set_status(self._trace.StatusCode.ERROR)


class _OurLog(logging.Handler):
    """Takes OpenTelemetry's own complaints into the log: one for what was given up, none for each try."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of one."""
        log.warning("traces_not_sent", error=record.getMessage())


def _listen() -> None:
    """Keep the words of OpenTelemetry's packages out of standard error."""
    theirs = logging.getLogger("opentelemetry")
    theirs.handlers, theirs.propagate = [_OurLog(logging.ERROR)], False


def offered() -> bool:
    """Return whether somebody is there to be told."""
    return traces_wanted()


def operation(endpoint: Endpoint) -> str:
    """Return what the semantic conventions call it that an endpoint does; the rest has names of its own."""
    return "chat" if endpoint.shape in CHATS and endpoint.object else endpoint.name.rpartition(".")[2]


def of_call(record: Record, endpoint: Endpoint) -> Iterator[tuple[str, Any]]:
    """Yield what is told of a call."""
    yield OPERATION, operation(endpoint)
    yield "http.request.method", endpoint.method
    yield "http.route", endpoint.path
    yield "http.response.status_code", record.status
    yield "realms.request_id", record.request_id
    yield "realms.user.id", record.user_id
    yield "realms.token.id", record.token_id
    yield "realms.end", record.end.value
    yield "realms.stream", record.stream
    optional = {
        MODEL: record.model,
        "gen_ai.conversation.id": record.conversation,
        "realms.first_byte_ms": record.first_byte_ms,
        "realms.first_content_ms": record.first_content_ms,
        "realms.cost_nanos": record.cost,
    }
    yield from ((name, value) for name, value in optional.items() if value not in {None, ""})


def of_attempt(record: Record, attempt: Attempt, provider: str, *, serves: bool) -> Iterator[tuple[str, Any]]:
    """Yield what is told of an attempt; the call's tokens are those of the one that ``serves`` it."""
    yield OPERATION, operation(BY_NAME[record.endpoint])
    yield "realms.upstream.id", attempt.upstream_id
    yield "realms.credential.id", attempt.credential_id
    optional: dict[str, Any] = {
        PROVIDER: provider,
        MODEL: record.upstream_model,
        "http.response.status_code": attempt.status,
        "realms.upstream.request_id": attempt.upstream_request_id,
    }
    if serves:
        optional |= _tokens(record)
    yield from ((name, value) for name, value in optional.items() if value not in {None, ""})


def _tokens(record: Record) -> dict[str, Any]:
    """Return what was used; here the input is all of it, that from caches and that written to them included."""
    usage = record.usage
    written = [each for each in (usage.cache_write_5m, usage.cache_write_1h) if each is not None]
    parts = [each for each in (usage.input, usage.cache_read, *written) if each is not None]
    return {
        "gen_ai.usage.input_tokens": sum(parts) if parts else None,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": sum(written) if written else None,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
    }


def _nanos(record: Record, ms: int) -> int:
    return int(record.at * 1_000_000_000) + ms * 1_000_000
