"""What has been used of each limit, where one worker serves alone: numbers in its memory.

A reservation checks and takes all that one call needs, or nothing; no other greenlet runs in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from itertools import count as numbers
from typing import Protocol

import msgspec

from app.protocol.limit import Rule, Span
from app.protocol.recent import Recent

KEPT_MAX = 10_000
"""So many calls are remembered whose cost may be told later."""


class Count(msgspec.Struct, frozen=True):
    """What is counted under one rule in one span, by all calls together."""

    rule: Rule
    key: str
    span: Span
    base: Callable[[], int] | None = None
    """Says what was used before anybody counted here; None where that was nothing."""

    @property
    def may_begin(self) -> bool:
        """Whether it may begin while calls are under way; one that was brought in has no base of its own."""
        return self.base is None or isinstance(self.base, Beginning)


Want = tuple[Count, int]
"""What one call needs of one limit: the amount."""
Settled = list[tuple[Want, int]]
"""What a call had reserved, each with what it used."""


class Begun(msgspec.Struct, frozen=True):
    """A count that begins while calls may be under way that nobody counts under it."""

    rule: Rule
    key: str
    span: Span
    conversation: str = ""


class Beginning:
    """A count's ``base`` where that may be so."""

    def __init__(self, begun: Begun, spent: Callable[[], int] | None = None) -> None:
        self.begun = begun
        self._spent = spent or int  # nothing

    def __call__(self) -> int:
        return self._spent()


class Brought(msgspec.Struct, frozen=True):
    """What calls have cost that are in no sum yet, and what those that run hold now, by their ids."""

    ended: int
    running: list[tuple[str, Want]]


class Calls(Protocol):
    """The calls under way, see ``services.beginnings``."""

    def still(self) -> AbstractContextManager[object]:
        """Let no record be committed meanwhile."""

    def refresh(self) -> None:
        """Know every limit there is by now."""

    def tokens(self, begun: Begun) -> Collection[int]:
        """Return the tokens that count together."""

    def bring_in(self, begun: Begun, tokens: Collection[int], *, ended: bool = True) -> Brought:
        """Reserve for the calls that run."""


class Full(Exception):  # noqa: N818 - a state, not a mistake
    """A limit has no room for a call; ``used`` is what others have used or reserved."""

    def __init__(self, want: Want, used: int) -> None:
        self.count, self.amount = want
        self.used = used
        super().__init__(self.count.key)


class Counters:
    """Counts in this process."""

    def __init__(self, *, share: int = 1) -> None:
        self._used: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._begun: dict[str, int] = {}
        """Which count it is that a key stands for, of all that ever began: one may be forgotten and begin anew."""
        self._numbers = numbers()
        self._kept: Recent[str, dict[tuple[str, int], int]] = Recent(KEPT_MAX)
        """What calls of which more may be told later come to in counts of money, by their ids."""
        self._share = share
        self.reserved: Callable[[str], int] = lambda _key: 0
        """Says what calls under way hold of a key, for who wants to know what was spent of it."""
        self.calls: Calls | None = None
        """Where calls are found that are under way when a count begins."""

    def start(self) -> None:
        """Nothing has to be done beside the calls."""

    def take(self, call_id: str, wants: list[Want]) -> list[int]:
        """Reserve it all, and return what is used of each then. Raises ``Full``, or what the database raises."""
        while True:
            try:
                return self._admit(wants)
            except KeyError:  # a span may end, and be swept, while the database is asked
                self._begin([count for count, _ in wants if count.key not in self._used])

    def _admit(self, wants: list[Want]) -> list[int]:
        """Reserve all or nothing. Raises ``Full``, or ``KeyError`` for what nobody has counted here yet."""
        used, alone = self._used, self._share == 1
        after: list[int] = []
        try:
            for want in wants:
                count, amount = want
                now = used[count.key] + amount
                if now > (count.rule.most if alone else self._most(count.rule)):
                    raise Full(want, now - amount)
                used[count.key] = now
                after.append(now)
        except (KeyError, Full):
            for taken, of_it in wants[: len(after)]:
                used[taken.key] -= of_it
            raise
        return after

    def _begin(self, fresh: list[Count]) -> None:
        """Count what nobody has counted here yet."""
        for count in fresh:
            base = self._base(count)
            if count.key not in self._used:  # another may have counted while the database was asked
                self._used[count.key], self._begun[count.key] = base, next(self._numbers)
            if count.span.end is not None:
                self._ends[count.key] = count.span.end

    def _base(self, count: Count) -> int:
        """Return what was used before anybody counted here."""
        base = count.base
        if not isinstance(base, Beginning) or self.calls is None:
            return base() if base is not None else 0
        tokens = self.calls.tokens(base.begun)
        with self.calls.still():
            spent = base()
            brought = self.calls.bring_in(base.begun, tokens)
        return spent + brought.ended + sum(amount for _, (_, amount) in brought.running)

    def _most(self, rule: Rule) -> int:
        """Return this worker's share; of what is left of nothing there is none, of all else at least one."""
        return max(1, rule.most // self._share) if rule.most else 0

    def give(self, call_id: str, settled: Settled, *, later: bool = False) -> None:
        """Bring reservations to what was really used; ``later`` more may be told of what the call cost."""
        counts = self._used
        for (count, amount), used in settled:
            if count.key in counts:
                counts[count.key] += used - amount
        if later:
            self._keep(call_id, settled)

    def _keep(self, call_id: str, settled: Settled) -> None:
        counted = [(count.key, used) for (count, _), used in settled if count.rule.money and count.key in self._used]
        if counted:
            self._kept.keep(call_id, {(key, self._begun[key]): used for key, used in counted})

    def complete(self, call_id: str, cost: int) -> None:
        """Bring what counts say of a call that was settled before to what it cost after all.

        A count that began since is left alone: it has nothing of this call but what the sums had.
        """
        kept = self._kept.get(call_id, {})
        for (key, begun), used in kept.items():
            if self._begun.get(key) == begun:
                self._used[key] += cost - used
        kept.update(dict.fromkeys(kept, cost))

    def peek(self, keys: list[str]) -> list[int | None]:
        """Return what is used; None where nobody has counted."""
        return [self._used.get(key) for key in keys]

    def said(self, key: str) -> int | None:
        """Return what is used without what calls under way hold; None where nobody has counted."""
        used = self._used.get(key)
        return None if used is None else used - self.reserved(key)

    def add(self, key: str, amount: int) -> None:
        """Count what nobody has counted."""
        self._used[key] += amount

    def forget(self, key: str) -> None:
        """Count it no longer here; what was used is asked for again."""
        self._used.pop(key, None)
        self._begun.pop(key, None)

    def sweep(self, now: float) -> None:
        """Forget what is over."""
        for key in [key for key, end in self._ends.items() if end <= now]:
            del self._ends[key]
            self.forget(key)


class Interim(Counters):
    """Counts in this process while those who count together can't be asked.

    Money is counted anew each time, from what was spent by then: in between nobody here knows of it.
    """

    def __init__(self, *, share: int) -> None:
        super().__init__(share=share)
        self._money: set[str] = set()
        self._paying: set[str] = set()
        """The calls that hold some of it."""

    def take(self, call_id: str, wants: list[Want]) -> list[int]:
        after = super().take(call_id, wants)
        if any(count.rule.money for count, _ in wants):
            self._paying.add(call_id)
        return after

    def give(self, call_id: str, settled: Settled, *, later: bool = False) -> None:
        pays = call_id in self._paying
        self._paying.discard(call_id)
        super().give(call_id, [each for each in settled if pays or not each[0][0].rule.money], later=later)

    def over(self) -> None:
        """They can be asked again."""
        for key in self._money:
            self.forget(key)
        self._money.clear()
        self._paying.clear()

    def _begin(self, fresh: list[Count]) -> None:
        super()._begin(fresh)
        self._money.update(count.key for count in fresh if count.rule.money)
