"""The merged list of a caller's stored objects: the registry says which, their upstreams say what."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import parse_qs

import gevent.pool
import msgspec

from app.protocol.body import read
from app.protocol.call import Call, Owned
from app.protocol.endpoints import BY_NAME, ObjectKind
from app.protocol.errors import Problem, RelayError
from app.protocol.paging import limit_of
from app.protocol.record import Record
from app.relay.connect import Connector
from app.relay.ports import Registry
from app.relay.trace import Trace
from app.relay.watch import Live, Watch

LIMIT_MAX = 100
FIELDS_MAX = 100
AT_ONCE = 8
OBJECT_MAX = 16 * 1024 * 1024


class _Query(msgspec.Struct, frozen=True):
    after: str | None
    limit: int
    newest_first: bool
    model: str | None


class _Nobody:
    """Reads of stored objects leave no records."""

    def admit(self) -> None:
        """Refuse nothing."""

    def open(self, record: Record) -> None:
        """Keep nothing."""

    def settle(self, record: Record) -> None:
        """Keep nothing."""

    def complete(self, *_: object) -> None:
        """Keep nothing."""


class Listing:
    """Builds pages of ``GET /v1/chat/completions``."""

    def __init__(self, registry: Registry, connector: Connector, watch: Watch) -> None:
        self._registry = registry
        self._watch = watch
        self._connector = connector

    def page(self, call: Call, *, live: Live) -> bytes:
        """Return one page as JSON, never a silently shorter one.

        Raises ``RelayError``: 400 for a bad query, 404 for a cursor that isn't the caller's, 502 or 503 when an
        upstream can't be asked.
        """
        query = _read_query(call.query)
        if query.model is not None and not query.model.isprintable():  # none has such a name: see ``views``
            return _page([], more=False)
        wanted = query.limit + 1  # one more than is shown: only an object that is still there counts as "more"
        found: list[tuple[str, bytes]] = []
        after, begun = query.after, False
        while len(found) < wanted and (after is not None or not begun):
            begun = True
            owned, after = self._registry.page(
                call.caller,
                ObjectKind.CHAT_COMPLETION,
                after=after,
                limit=wanted - len(found),
                newest_first=query.newest_first,
                model=query.model,
            )
            bodies = self._fetch_all(call, owned, live)
            found += [(entry.object_id, body) for entry, body in zip(owned, bodies, strict=True) if body is not None]
        return _page(found[: query.limit], more=len(found) > query.limit)

    def _fetch_all(self, call: Call, owned: list[Owned], live: Live) -> list[bytes | None]:
        pool = gevent.pool.Pool(AT_ONCE)
        jobs = [pool.spawn(self._fetch, call, entry, live) for entry in owned]
        gevent.joinall(jobs, raise_error=False)
        for job in jobs:
            if job.exception is not None:
                raise job.exception
        return [job.value for job in jobs]

    def _fetch(self, call: Call, owned: Owned, live: Live) -> bytes | None:
        """Return an object's body, or None where its upstream no longer has it; then its row is retired."""
        one = msgspec.structs.replace(call, endpoint=BY_NAME["chat.retrieve"], object_id=owned.object_id, query="")
        follower = self._watch.enter(None, leader=live)
        try:
            link = self._connector.open_object(one, owned, live=follower, trace=Trace(one, _Nobody()))
            with closing(link):
                body = link.whole(OBJECT_MAX)
        except RelayError as error:
            if error.problem is Problem.CHAT_NOT_FOUND:  # a page of some proxy said so: nothing to retire a row for
                raise RelayError(Problem.UPSTREAM, "The upstream did not show an object as JSON.") from None
            raise
        finally:
            self._watch.leave(follower)
        if link.status == 404:
            self._registry.forget(owned)
            return None
        if link.status != 200:
            raise RelayError(Problem.UPSTREAM, f"The upstream refused to show an object (status {link.status}).")
        if read(body) is None:
            raise RelayError(Problem.UPSTREAM, "The upstream did not show an object as JSON.")
        return body


def _read_query(query: str) -> _Query:
    try:
        values = {name: given[-1] for name, given in parse_qs(query, max_num_fields=FIELDS_MAX).items()}
    except ValueError:
        raise RelayError(Problem.INVALID_VALUE, f"The query has more than {FIELDS_MAX} fields.") from None
    order = values.get("order", "asc")
    if order not in {"asc", "desc"}:
        raise RelayError(Problem.INVALID_VALUE, "'order' must be asc or desc.", param="order")
    limit = limit_of(values.get("limit"), most=LIMIT_MAX)
    return _Query(values.get("after"), limit, order == "desc", values.get("model"))


def _page(found: list[tuple[str, bytes]], *, more: bool) -> bytes:
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [msgspec.Raw(body) for _, body in found],
            "first_id": found[0][0] if found else None,
            "last_id": found[-1][0] if found else None,
            "has_more": more,
        }
    )
