"""The straight line of one call: admit, resolve, open, tap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.protocol.call import Call, Owned, Place, Reply
from app.protocol.conversation import Conversation, conversation_of
from app.protocol.endpoints import Kind, ObjectKind
from app.protocol.errors import Problem, RelayError
from app.protocol.record import End
from app.protocol.references import Reference, cursors, references
from app.relay.connect import Connector
from app.relay.drain import Drain
from app.relay.link import ClientLeftError, Link
from app.relay.listing import Listing
from app.relay.patience import Patience
from app.relay.ports import Ledger, Limits, Registry, Router
from app.relay.tap import Tap
from app.relay.trace import CLIENT_LEFT_STATUS, Trace
from app.relay.watch import Live, Watch
from app.relay.wire import Silence
from app.upstreams import UPSTREAMS

GONE = frozenset({200, 204, 404})
"""What an upstream answers to a delete after which the object is no more."""


class Relay:
    """Runs calls. Everything it needs comes from ``wiring``; one serves a whole worker."""

    def __init__(
        self,
        *,
        registry: Registry,
        router: Router,
        ledger: Ledger,
        limits: Limits,
        connector: Connector,
        watch: Watch,
        drain: Drain,
    ) -> None:
        self._registry = registry
        self._router = router
        self._ledger = ledger
        self._limits = limits
        self._connector = connector
        self._watch = watch
        self._drain = drain
        self._tap = Tap(registry, ledger, watch)
        self._listing = Listing(registry, connector, watch)

    def run(self, call: Call) -> Reply:
        """Return the reply to a call. Raises ``RelayError`` for the caller, ``ClientLeftError`` when it has left."""
        trace = Trace(call, self._ledger)
        live = self._watch.enter(call.connection)
        live.trace = trace
        try:
            self._drain.admit()
            self._ledger.admit()
            self._registry.admit(call)
            conversation = conversation_of(call)
            trace.conversation = conversation.key if conversation.named else ""
            ticket = self._limits.acquire(call, trace.conversation)
            reply = self._reply(call, conversation, live=live, trace=trace)
        except BaseException as error:
            self._watch.leave(live)
            self._settle_refused(call, error, trace)
            raise
        reply.headers.extend(ticket.headers)
        return reply

    def _reply(self, call: Call, conversation: Conversation, *, live: Live, trace: Trace) -> Reply:
        if call.endpoint.kind is Kind.LIST:
            return self._tap.listed(call, self._listing.page(call, live=live), live=live)
        trace.begin()
        opening = partial(self._open, call, conversation, live=live, trace=trace)
        if call.stream and call.endpoint.kind is Kind.CREATE:
            return self._patient_reply(call, opening, live=live, trace=trace)
        return self._tap.reply(call, opening(), live=live, trace=trace)

    def _patient_reply(self, call: Call, opening: Callable[[], Link], *, live: Live, trace: Trace) -> Reply:
        """Return the reply of a stream; one whose client would wait in silence begins before its upstream does."""
        patience = Patience(opening)
        live.on_silence = patience.interrupt
        try:
            link = patience.begin()
        except Silence:
            return self._tap.late(call, patience, live=live, trace=trace)
        finally:
            live.on_silence = None
        return self._tap.reply(call, link, live=live, trace=trace)

    def refuse(self, call: Call, error: RelayError) -> None:
        """Keep the record of a call that was refused before it could run."""
        self._settle_refused(call, error, Trace(call, self._ledger))

    def _open(self, call: Call, conversation: Conversation, *, live: Live, trace: Trace) -> Link:
        if call.endpoint.kind is Kind.OBJECT:
            owned = self._owned_object(call)
            link = self._connector.open_object(call, owned, live=live, trace=trace)
            if call.endpoint.deletes and link.status in GONE:
                self._forget(owned, link)
            return link
        offer = self._router.offer(call, conversation, place=self._place(call))
        return self._connector.open(call, conversation, offer, live=live, trace=trace)

    def _forget(self, owned: Owned, link: Link) -> None:
        try:
            self._registry.forget(owned)
        except RelayError:
            link.close()
            raise

    def _owned_object(self, call: Call) -> Owned:
        """Return the object that the path names, once every id in the call was found to be the caller's."""
        assert call.endpoint.object is not None  # noqa: S101 - each row of kind OBJECT has one
        owned = self._registry.find(call.caller, call.endpoint.object, call.object_id)
        if not UPSTREAMS[owned.place.kind].keeps_objects:
            raise RelayError(Problem.UNSUPPORTED, "The upstream that made this object does not keep it.")
        if call.item_id:
            _require_same_place(owned, self._registry.find(call.caller, ObjectKind.ITEM, call.item_id))
        for reference in (*references(call), *cursors(call)):
            _require_same_place(owned, self._referred(call, reference))
        return owned

    def _place(self, call: Call) -> Place | None:
        """Return the place of what a create continues, the only one that it can go to; None where it is free."""
        referred = [self._referred(call, reference) for reference in references(call)]
        for other in referred[1:]:
            _require_same_place(referred[0], other)
        return referred[0].place if referred else None

    def _referred(self, call: Call, reference: Reference) -> Owned:
        try:
            return self._registry.find(call.caller, reference.kind, reference.id)
        except RelayError as error:
            if error.problem is not Problem.RESPONSE_NOT_FOUND:
                error.param = reference.param if error.param else error.param
                raise
            raise RelayError(
                Problem.PREVIOUS_RESPONSE_NOT_FOUND,
                f"Previous response with id '{reference.id[:512]}' not found.",
                param=reference.param,
            ) from None

    def _settle_refused(self, call: Call, error: BaseException, trace: Trace) -> None:
        if isinstance(error, RelayError):
            trace.settle(End.REFUSED, status=error.status(call.endpoint.protocol), reason=error.code)
        elif isinstance(error, ClientLeftError):
            trace.settle(End.CLIENT_LEFT, status=CLIENT_LEFT_STATUS)
        else:
            trace.settle(End.REFUSED, status=500, reason=type(error).__name__)


def _require_same_place(one: Owned, other: Owned) -> None:
    if one.place != other.place:
        message = "The objects that this request refers to live at different upstreams and can't be used together."
        raise RelayError(Problem.SPREAD_STATE, message)
