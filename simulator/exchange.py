"""One request's answer on its way: in one write where nothing special is planned, else step by step."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from typing import Literal

from simulator.answer import Answer, Event
from simulator.http import Connection, Request
from simulator.plan import HANG, USUAL_STYLE, Plan, render_usual
from simulator.records import Record
from simulator.wire import BrokenOffError, Wire, forever

BATCH = 65536


class Exchange:
    __slots__ = ("_answer", "_conn", "_keep_alive", "_old_http", "_plan", "_record", "_task", "_wire")

    def __init__(self, conn: Connection, request: Request, record: Record, plan: Plan) -> None:
        self._conn = conn
        self._record = record
        self._plan = plan
        self._wire = Wire(conn, plan)
        self._old_http = request.version == "1.0"
        self._keep_alive = request.keep_alive
        self._task: asyncio.Task[None] | None = None
        conn.on_lost = self._left

    def begin(self, answer: Answer) -> None:
        self._answer = answer
        record = self._record
        record.status = answer.status
        record.object_id = answer.object_id
        record.usage = answer.usage
        whole = None if self._plan.special else self._whole(answer)
        if whole is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
            return
        self._conn.write(whole)
        record.bytes_sent = len(whole)
        self._end("done")

    def _whole(self, answer: Answer) -> bytes | None:
        """The answer as one piece, if it is small."""
        if answer.events is None:
            if len(answer.body) > BATCH:
                return None
            hidden = self._record.method == "HEAD"
            body = b"" if hidden else answer.body
            return b"%bcontent-length: %d\r\n\r\n%b" % (answer.head(), len(answer.body), body)
        parts: list[Event] = []
        size = 0
        for event in answer.events:
            parts.append(event)
            size += len(event.data)
            if size > BATCH:
                answer.events = chain(parts, answer.events)
                return None
        if self._old_http:
            answer.events = iter(parts)
            return None
        body = b"".join(map(render_usual, parts))
        return b"%btransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (answer.head(), len(body), body)

    async def _run(self) -> None:
        wire = self._wire
        try:
            await self._steps()
            self._record.bytes_sent = wire.sent
            self._end("done")
        except BrokenOffError:
            self._record.bytes_sent = wire.sent
            self._end("fault")
        except Exception:  # noqa: BLE001 - a mistake here must be seen, and must not hang a client
            traceback.print_exc()
            self._end("fault")
            self._conn.reset()

    def _end(self, how: Literal["done", "fault"]) -> None:
        self._record.close(how)
        self._conn.on_lost = None
        if how == "done":
            self._conn.release(keep_alive=self._keep_alive)

    def _left(self) -> None:
        """The client is gone: stop waiting, whatever for."""
        self._record.bytes_sent = self._wire.sent
        self._record.close("client_left")
        if self._task is not None:
            self._task.cancel()

    async def _steps(self) -> None:
        plan, answer, wire = self._plan, self._answer, self._wire
        if plan.options.ttfb:
            await asyncio.sleep(plan.options.ttfb)
        if plan.hang == "accept":
            await forever()
        if wire.stop_at == 0:
            await wire.stop()
        for change in plan.remake:
            change(answer)
        for part in plan.before:
            await wire.put(part)
        framing = await self._framing()
        await self._head(framing)
        if plan.options.first:
            await asyncio.sleep(plan.options.first)
        await self._body(framing)

    async def _framing(self) -> bytes:
        """The header that says where the body ends."""
        plan, answer = self._plan, self._answer
        stream = answer.events is not None or plan.body is not None
        if plan.framing == "close" or (stream and self._old_http and plan.framing == "usual"):
            self._keep_alive = False
            return b"connection: close\r\n"
        if stream and plan.framing == "usual":
            return b"transfer-encoding: chunked\r\n"
        if stream or plan.encoder is not None:
            # Only a body that is there as a whole has a length.
            answer.body = b"".join([piece async for piece in encoded(self._payload(), plan)])
            answer.events = plan.body = plan.encoder = None
        if plan.wrong_by > 0:
            self._keep_alive = False
        return b"content-length: %d\r\n" % (len(answer.body) + plan.wrong_by)

    async def _head(self, framing: bytes) -> None:
        plan, answer, wire = self._plan, self._answer, self._wire
        head = answer.head() + framing
        for part in plan.more_head:
            await wire.put(head + part)
            head = b""
        await wire.put(head + b"\r\n")
        if plan.hang == "headers":
            await forever()
        wire.rate = plan.rate
        if plan.stop and plan.stop_at < 0:
            wire.stop_at = wire.sent + (len(answer.body) // 2 or 400)

    async def _body(self, framing: bytes) -> None:
        chunked = framing.startswith(b"transfer")
        async for piece in cut(encoded(self._payload(), self._plan), self._plan.sizes):
            # One fast stream must not keep the others waiting.
            await asyncio.sleep(0)
            if chunked:
                await self._wire.put(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                await self._wire.put(piece)
        if chunked:
            await self._wire.put(b"0\r\n\r\n")

    async def _payload(self) -> AsyncIterator[bytes]:
        """The body before any encoding, with the pauses of its events."""
        plan, answer = self._plan, self._answer
        if plan.body is not None:
            for piece in plan.body:
                yield piece
        elif answer.events is None:
            for at in range(0, len(answer.body), BATCH):
                yield answer.body[at : at + BATCH]
        else:
            events = answer.events
            for change in plan.filters:
                events = change(events, answer)
            async for piece in self._paced(events) if plan.options.gap else self._batched(events):
                yield piece

    async def _batched(self, events: Iterator[Event]) -> AsyncIterator[bytes]:
        render = render_usual if self._plan.style is USUAL_STYLE else self._plan.style.render
        batch: list[bytes] = []
        size = 0
        for event in events:
            if event is HANG:
                yield b"".join(batch)
                await forever()
            batch.append(render(event))
            size += len(batch[-1])
            if size >= BATCH:
                yield b"".join(batch)
                batch = []
                size = 0
        if batch:
            yield b"".join(batch)

    async def _paced(self, events: Iterator[Event]) -> AsyncIterator[bytes]:
        """One event every `gap` seconds, on a schedule: a late one doesn't make the others later."""
        gap = self._plan.options.gap
        loop = asyncio.get_running_loop()
        due = loop.time()
        for event in events:
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            due += gap
            if event is HANG:
                await forever()
            yield self._plan.style.render(event)


async def encoded(payload: AsyncIterator[bytes], plan: Plan) -> AsyncIterator[bytes]:
    if plan.encoder is None:
        async for piece in payload:
            yield piece
        return
    encode, finish = plan.encoder
    async for piece in payload:
        yield encode(piece)
    yield finish()


async def cut(payload: AsyncIterator[bytes], sizes: Iterator[int] | None) -> AsyncIterator[bytes]:
    """The same bytes in pieces of these sizes, cut anywhere."""
    async for piece in payload:
        if sizes is None:
            if piece:
                yield piece
            continue
        at = 0
        while at < len(piece):
            size = next(sizes)
            yield piece[at : at + size]
            at += size
