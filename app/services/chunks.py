"""What a worker holds of limits that are far: chunks, from which it admits calls without asking anybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as numbers

from app.protocol.limit import REQUESTS
from app.services.counters import Count, Settled, Want

CALLS = 64
"""A chunk is for so many calls such as the one that asked for it, at most."""
OVER_S = 120
"""So long after its span a chunk is forgotten: Redis has forgotten the number by then."""


@dataclass(slots=True)
class Chunk:
    """One worker's chunk of one limit.

    ``free`` is for calls to come, ``live`` reserved by calls that were admitted from it, and ``spent`` what such calls
    used, ever. ``known`` is what everybody had used, reserved or held when last heard.
    """

    name: str
    """Of this chunk alone: what it spent is told under it."""
    most: int
    falls_away: bool
    end: int | None
    free: int = 0
    live: int = 0
    spent: int = 0
    known: int = 0
    told: bool = True
    """Whether Redis knows all of this."""
    recalled: bool = False
    """Whether others need what is free."""
    idle: bool = False
    """Whether nobody was admitted since the last look."""

    def settle(self, amount: int, used: int) -> None:
        self.live -= amount
        self.spent += used
        self.free += amount - used
        self.told = False


class Chunks:
    """All that one worker holds, by the name of what is counted."""

    def __init__(self) -> None:
        self._held: dict[str, Chunk] = {}
        self._asking: dict[str, int] = {}
        self._telling: set[str] = set()
        self._calls: set[str] = set()
        self._numbers = numbers()

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._calls

    def __getitem__(self, key: str) -> Chunk:
        return self._held[key]

    def admit(self, call_id: str, wants: list[Want]) -> list[int] | None:
        """Reserve all that a call needs, and return what is used of each; None where any chunk has not enough."""
        found, used, ends = [], [], False
        for count, amount in wants:
            chunk = self._held.get(count.key)
            if chunk is None or chunk.free < amount or chunk.most != count.rule.most:
                return None
            found.append((chunk, amount))
        for chunk, amount in found:
            chunk.free -= amount
            if chunk.falls_away:
                chunk.live += amount
                ends = True
            else:
                chunk.spent += amount
            chunk.told = chunk.idle = False
            used.append(chunk.known - chunk.free)
        if ends:  # nobody settles a call that is a request and nothing else
            self._calls.add(call_id)
        return used

    def settle(self, call_id: str, settled: Settled) -> bool:
        """Bring a call that was admitted here to what it used; return whether somebody waits for what that frees."""
        self._calls.discard(call_id)
        urgent = False
        for (count, amount), used in settled:
            chunk = self._held.get(count.key)
            if chunk is not None:
                chunk.settle(amount, used)
                urgent = urgent or chunk.recalled
        return urgent

    def part(self, settled: Settled) -> None:
        """What calls used is counted apart from the chunks from now on; what is held of it here goes soon."""
        for (count, amount), used in settled:
            chunk = self._held.get(count.key)
            if chunk is not None:
                chunk.settle(amount, used)
                chunk.spent -= used
                chunk.recalled = True

    def spend(self, count: Count, used: int) -> None:
        """Note what was used without asking anybody."""
        chunk = self._of(count)
        chunk.spent += used
        chunk.told = False

    def ask(self, wants: list[Want]) -> list[int]:
        """Return the chunk to ask for with each want; the answer has to be brought to ``granted`` or ``lost``.

        What is being told can't be asked for: numbers that cross on their way would count twice, or not at all.
        """
        asked = [0 if count.key in self._telling else CALLS * amount for count, amount in wants]
        for count, _ in wants:
            self._asking[count.key] = self._asking.get(count.key, 0) + 1
        return asked

    def answered(self, wants: list[Want]) -> None:
        """There was an answer, or will be none."""
        for count, _ in wants:
            self._asking[count.key] -= 1
            if not self._asking[count.key]:
                del self._asking[count.key]

    def granted(self, count: Count, amount: int, *, known: int) -> None:
        """Take a chunk in."""
        if amount:
            chunk = self._of(count)
            chunk.free += amount
            chunk.most, chunk.known, chunk.recalled, chunk.idle = count.rule.most, known + amount, False, False

    def lost(self, wants: list[Want]) -> None:
        """No answer came: whatever was granted is told not to be held."""
        for count, _ in wants:
            self._of(count).told = False

    def _of(self, count: Count) -> Chunk:
        falls_away = count.rule.unit != REQUESTS
        if count.key not in self._held:
            self._held[count.key] = Chunk(f"{next(self._numbers):x}", count.rule.most, falls_away, count.span.end)
        return self._held[count.key]

    def recall(self, key: str) -> None:
        """Others need what is free of this."""
        chunk = self._held.get(key)
        if chunk is not None:
            chunk.recalled = True

    def let_go(self) -> None:
        """Hold nothing any more: the lease may have fallen away."""
        for chunk in self._held.values():
            chunk.free, chunk.told = 0, False

    def due(self, now: float, *, all_: bool) -> Iterator[tuple[str, Chunk]]:
        """Yield what has to be told, with nothing free that others need, that nobody uses or that is over."""
        for key, chunk in list(self._held.items()):
            if key in self._asking or key in self._telling:
                continue
            over = chunk.end is not None and chunk.end <= now
            if chunk.recalled or over or chunk.free < 0 or (all_ and chunk.idle):
                chunk.told = chunk.told and not chunk.free
                chunk.free = 0
            chunk.idle = chunk.idle or all_
            if not chunk.told and (all_ or chunk.recalled):
                yield key, chunk
            elif all_ and not (chunk.live or chunk.free) and (chunk.end is None or chunk.end + OVER_S <= now):
                del self._held[key]

    def tell(self, told: list[tuple[str, Chunk]]) -> None:
        """These are being told, until ``heard``."""
        for key, chunk in told:
            self._telling.add(key)
            chunk.told = True

    def heard(self, told: list[tuple[str, Chunk]], known: list[int] | None) -> None:
        """Take in what everybody has used now (None: no answer came; -1: nobody knew of it)."""
        for number, (key, chunk) in enumerate(told):
            self._telling.discard(key)
            if known is None:
                chunk.told = False
            elif known[number] < 0:
                chunk.free, chunk.told = 0, not chunk.live
            else:
                chunk.known = known[number]
