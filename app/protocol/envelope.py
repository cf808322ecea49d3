"""Reads the top-level members of a JSON body and replaces some of them; the bytes of all others stay as they came.

Only the outermost object is taken apart (12 MB in about 3 ms); what lies inside a member is parsed when someone asks
for that member. RFC 8259 leaves repeated names undefined; here they are refused, so that no two readers of one body
can disagree about it.
"""

from __future__ import annotations

import re
from collections.abc import Container
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from app.protocol.errors import Problem, RelayError

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
MEMBERS_MAX = 1000
"""Many times more than any request has; to walk through a body that is nothing but members would take seconds."""
_NAMED = re.compile(rb'[ \t\r\n]*+("(?:[^"\\]++|\\.)*+")[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_OVER = re.compile(rb"[ \t\r\n]*+[,}]")
"""What stands before a member's value, and behind it; no byte is looked at by Python."""
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Envelope:
    """One JSON object: its bytes, and its top-level members in order. ``size`` is that of the bytes."""

    __slots__ = ("_members", "body", "size")

    def __init__(self, body: bytes, members: dict[str, msgspec.Raw]) -> None:
        self.body = body
        self.size = len(body)
        self._members = members

    def forget(self, *, but: Container[str] = ()) -> None:
        """Let go of what nobody needs any more once a stream is under way; that may stand for an hour."""
        self.body = b""
        self._members = {name: raw.copy() for name, raw in self._members.items() if name in but}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def has_any(self, names: AbstractSet[str]) -> bool:
        """Whether any of these members is there."""
        return not self._members.keys().isdisjoint(names)

    def raw(self, name: str) -> bytes | None:
        """Return the bytes of a member's value, or None."""
        raw = self._members.get(name)
        return None if raw is None else bytes(raw)

    def get(self, name: str) -> Any:
        """Return a member's value, parsed; None where it is absent. Raises ``RelayError`` for one that is broken."""
        raw = self._members.get(name)
        if raw is None:
            return None
        try:
            return msgspec.json.decode(raw)
        except _BROKEN:
            raise _invalid(f"'{name}' is not valid JSON.") from None

    def text(self, name: str) -> str | None:
        """Return a string member; None where it is absent or null. Raises ``RelayError`` for another type."""
        value = self.get(name)
        if value is None or isinstance(value, str):
            return value
        raise RelayError(Problem.INVALID_TYPE, f"'{name}' must be a string.", param=name)

    def flag(self, name: str) -> bool | None:
        """Return a boolean member; None where it is absent or null. Raises ``RelayError`` for another type."""
        raw = self._members.get(name)
        if raw is None:
            return None
        literal = bytes(raw) if len(raw) <= len(b"false") else b""
        if literal not in _FLAGS:
            raise RelayError(Problem.INVALID_TYPE, f"'{name}' must be true or false.", param=name)
        return _FLAGS[literal]

    def with_members(self, changes: dict[str, bytes], *, without: Container[str] = ()) -> Envelope:
        """Return a new envelope with these members set to the given JSON values; order and other bytes are kept.

        Members ``without`` are left out.
        """
        members = self._members | {name: msgspec.Raw(value) for name, value in changes.items()}
        if without:
            members = {name: raw for name, raw in members.items() if name not in without}
        return Envelope(msgspec.json.encode(members), members)


_FLAGS = {b"true": True, b"false": False, b"null": None}


def parse(body: bytes) -> Envelope:
    """Return the envelope of a request body. Raises ``RelayError`` (400 ``invalid_json``) for anything unsound."""
    if not body:
        raise _invalid("The body is empty; send a JSON object.")
    try:
        members = _decoder.decode(body)
    except msgspec.ValidationError:
        raise _invalid("The body must be a JSON object.") from None
    except UnicodeDecodeError:
        raise _invalid("The body is not valid UTF-8.") from None
    except (msgspec.DecodeError, RecursionError):
        raise _invalid("The body is not valid JSON.") from None
    if not body.isascii():
        _require_utf8(body)
    _refuse_repeats(body, members)
    return Envelope(body, members)


def _require_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError:
        raise _invalid("The body is not valid UTF-8.") from None


def _refuse_repeats(body: bytes, members: dict[str, msgspec.Raw]) -> None:
    """Refuse an object that names a member twice.

    The decoder keeps the last of two. A compact body (what SDKs send) that is exactly as long as its members has no
    room for a second one; any other is walked from value to value, each skipped by the length that the decoder found.
    """
    if len(members) > MEMBERS_MAX:
        raise _invalid(f"The body has more than {MEMBERS_MAX} members.")
    compact = 1 + 4 * len(members) + sum(map(len, members)) + sum(map(len, members.values()))
    if len(body) == compact and body.isascii():
        return
    seen: set[str] = set()
    at = body.index(b"{") + 1
    while (named := _NAMED.match(body, at)) is not None:
        name = msgspec.json.decode(named[1])
        value = members[name]
        at = named.end()
        over = _OVER.match(body, at + len(value))
        if name in seen or body[at : at + len(value)] != bytes(value) or over is None:
            raise _invalid(f"The body has '{name[:64]}' twice.")
        seen.add(name)
        at = over.end()


def _invalid(message: str) -> RelayError:
    return RelayError(Problem.INVALID_JSON, message)
