"""Brings what is under way into a count that begins: of a limit that was just set, or is counted anew.

A limit is counted from what the sums kept with the records say. Calls that run at that moment are not in there, nor
are those that have just ended and wait for their commit; and none of them was admitted under the limit. So while a
count begins no record is committed, what waits is added, and each call that runs gets a reservation, as if it had been
admitted just then. It is settled as any other. A worker that answers late may have calls besides that were admitted
under the limit and have ended: those are counted already.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager

from app.protocol.call import Call
from app.protocol.limit import Rule
from app.relay.trace import Trace
from app.services.counters import Begun, Brought
from app.services.directory import Directory
from app.services.limits import Limits
from app.services.pen import Pen
from app.services.spent import Spent


class UnderWay:
    """The calls of one worker that run or have ended just now."""

    def __init__(
        self,
        directory: Directory,
        pen: Pen,
        spent: Spent,
        *,
        traces: Callable[[], Iterable[Trace]],
        limits: Limits,
    ) -> None:
        self._directory = directory
        self._pen = pen
        self._spent = spent
        self._traces = traces
        self._limits = limits

    def still(self) -> AbstractContextManager[object]:
        """Let no record be committed meanwhile."""
        return self._pen.writing

    def refresh(self) -> None:
        """Know every limit there is by now. Raises what the database raises."""
        self._directory.refresh()

    def tokens(self, begun: Begun) -> Collection[int]:
        """Return the tokens that a token's limit counts together. Raises what the database raises."""
        return self._spent.tokens(begun.rule.subject_id) if begun.rule.scope == "token" else ()

    def bring_in(self, begun: Begun, tokens: Collection[int], *, ended: bool = True) -> Brought:
        """Reserve for the calls that run; return that, and with ``ended`` what those cost that are in no sum yet."""
        running = [call for trace in self._traces() if (call := self._admitted(trace, begun, tokens))]
        held = [(call.id, want) for call in running if (want := self._limits.reserve(call, begun))]
        return Brought(self._ended(begun, tokens) if ended and begun.rule.money else 0, held)

    def _ended(self, begun: Begun, tokens: Collection[int]) -> int:
        return sum(
            record.cost or 0
            for record in self._pen.noted
            if not self._limits.has_counted(record.id, begun.key)
            and record.at >= begun.span.start
            and begun.conversation in {"", record.conversation}
            and self._covers(begun.rule, record.user_id, record.token_id, record.model, tokens)
        )

    def _admitted(self, trace: Trace, begun: Begun, tokens: Collection[int]) -> Call | None:
        call = trace.call
        same = trace.admitted and begun.conversation in {"", trace.conversation}
        mine = same and self._covers(begun.rule, call.caller.user_id, call.caller.token_id, call.model, tokens)
        return call if mine else None

    def _covers(self, rule: Rule, user_id: int, token_id: int, model: str, tokens: Collection[int]) -> bool:
        if rule.scope == "model":
            entry = self._directory.snapshot.model(model)
            return entry is not None and any(each.key == rule.key for each in entry.rules)
        return (user_id == rule.subject_id if rule.scope == "user" else token_id in tokens) and rule.covers(model)
