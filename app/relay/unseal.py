"""Remembers which account can't read what, so that a conversation that moved is refused for it once, and not each time.

What a conversation's new account seals itself stays in: only what was refused there is left out.
"""

from __future__ import annotations

import msgspec

from app.protocol.call import Call, Target
from app.protocol.sealed import unsealed

MARKS_MAX = 50_000


class Unsealer:
    """What each account was found not to read, the most recent last."""

    def __init__(self) -> None:
        self._marks: dict[int, dict[bytes, None]] = {}

    def prepared(self, call: Call, target: Target) -> Call | None:
        """Return the call without what this account is known not to read; None where nothing is."""
        known = self._marks.get(target.place.credential_id)
        found = unsealed(call, known) if known else None
        return None if found is None else msgspec.structs.replace(call, body=found.body)

    def unsealed(self, call: Call, target: Target) -> Call | None:
        """Return a call that was refused for what this account can't read without that; None where nothing can go."""
        found = unsealed(call)
        if found is None:
            return None
        known = self._marks.setdefault(target.place.credential_id, {})
        for mark in found.marks:
            known.pop(mark, None)
            known[mark] = None
        while len(known) > MARKS_MAX:
            del known[next(iter(known))]
        return msgspec.structs.replace(call, body=found.body)
