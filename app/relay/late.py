"""A stream whose upstream keeps its client waiting: shows that it is alive, then becomes the stream itself.

With the first heartbeat the status is sent, and it was 200: whatever goes wrong afterwards is told in the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from app.protocol.call import Call
from app.protocol.errors import Problem, RelayError, frame
from app.protocol.record import End
from app.relay.link import ClientLeftError, Link
from app.relay.patience import Patience
from app.relay.stream import Stream, heartbeat_of
from app.relay.trace import CLIENT_LEFT_STATUS, ENDS, Trace
from app.relay.watch import Cut, Live, Watch

STATUS = 200


class Late:
    """What the client reads. ``stream_of`` makes the stream of a link that came after all."""

    def __init__(
        self,
        call: Call,
        opening: Patience[Link],
        stream_of: Callable[[Link], Stream],
        *,
        live: Live,
        trace: Trace,
        watch: Watch,
    ) -> None:
        self._call = call
        self._opening = opening
        self._stream_of = stream_of
        self._live = live
        self._trace = trace
        self._watch = watch
        self._stream: Stream | None = None
        self._pieces = self._run()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Called by the server, always. An opening that goes on, or that nobody came back for, ends with its client."""
        if self._stream is not None:
            self._stream.close()
            return
        if not self._opening.over:
            self._live.end(Cut.CLIENT_LEFT)
        self._opening.then(Link.close)
        end = ENDS.get(self._live.cut, End.CLIENT_LEFT) if self._live.cut else End.CLIENT_LEFT
        self._trace.settle(end, status=CLIENT_LEFT_STATUS)
        self._watch.leave(self._live)

    def _run(self) -> Iterator[bytes]:
        link = None
        try:
            while link is None:
                yield self._shown(heartbeat_of(self._call))
                link = self._opening.wait(self._watch.heartbeat_s)
            if link.status >= 300:
                raise _refused(link)
        except RelayError as error:
            self._trace.settle(End.REFUSED, status=STATUS, reason=error.code)
            yield self._shown(frame(error, self._call.endpoint.shape, self._call.request_id))
            return
        except ClientLeftError:
            return
        self._stream = self._stream_of(link)
        yield from self._stream

    def _shown(self, block: bytes) -> bytes:
        self._trace.sent(block)
        self._live.waits_for_client()
        return block


def _refused(link: Link) -> RelayError:
    """Return the upstream's own words about the caller's request, as an error that can be told in a stream."""
    try:
        told = msgspec.json.decode(link.whole())["error"]["message"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
        told = f"The upstream refused the request (status {link.status})."
    finally:
        link.close()
    return RelayError(Problem.INVALID_VALUE, str(told)[:2000])
