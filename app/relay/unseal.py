"""Leaves out what an account can't read, so that a conversation that moved is refused for it once, and not each time.

What a conversation's new account seals itself stays in: only what was refused there is left out.
"""

from __future__ import annotations

import msgspec

from app.protocol.call import Call, Target
from app.protocol.sealed import unsealed
from app.relay.ports import Unread


class Unsealer:
    """Goes by what each account was found not to read."""

    def __init__(self, unread: Unread) -> None:
        self._unread = unread

    def prepared(self, call: Call, target: Target) -> Call | None:
        """Return the call without what this account is known not to read; None where nothing is."""
        known = self._unread.by(target.place)
        found = unsealed(call, known) if known else None
        return None if found is None else msgspec.structs.replace(call, body=found.body)

    def unsealed(self, call: Call, target: Target) -> Call | None:
        """Return a call that was refused for what this account can't read without that; None where nothing can go."""
        found = unsealed(call)
        if found is None:
            return None
        self._unread.learned(target.place, found.marks)
        return msgspec.structs.replace(call, body=found.body)
