"""Tells which conversation a call belongs to, and whether its body carries state that only one account can read.

What names it, the first that is there: a session's header, ``prompt_cache_key``, the session in Anthropic's
``metadata.user_id``, ``conversation``; else how the conversation begins. Sources: the measured requests of Codex CLI
and Claude Code, OpenAI's and Anthropic's API references.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

import msgspec

from app.protocol.call import Call, Caller
from app.protocol.endpoints import Protocol
from app.protocol.envelope import Envelope
from app.protocol.search import holds

HEADERS = ("session-id", "thread-id", "x-session-id", "x-claude-code-session-id", "conversation-id")
"""Headers that name a session, the best first; as WSGI spells them, so ``session_id`` is the first as well."""
GIST = 4096
"""How much of each end of a text counts towards what it is, in bytes."""
_KEY = re.compile(r"[0-9a-f]{32}")
_SESSION = re.compile(r"session_([\w-]{8,})")
_SEALED = re.compile(rb'"encrypted_content"\s*:\s*"[^"]')
_COMPACTED = re.compile(rb'"type"\s*:\s*"compaction(?:_summary)?"')
_SIGNED = re.compile(rb'"signature"\s*:\s*"[^"]|"redacted_thinking"')
_BEGINNINGS = {"responses": ("instructions", "input"), "chat": ("", "messages"), "messages": ("system", "messages")}
_NAMING = frozenset({"prompt_cache_key", "metadata", "conversation"})
_turns = msgspec.json.Decoder(list[msgspec.Raw])
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Conversation(msgspec.Struct, frozen=True):
    """Which conversation a call belongs to.

    ``key`` is 32 hex digits, the caller's own and not to be turned back into what it was made of; empty where a call
    is part of none. ``named`` says that the client gave it a name; otherwise it is known by its beginning, if somebody
    looks, which others may share, and ``continues`` says whether there is more of it than that. ``sealed`` says that
    the body carries state that only the account which made it can read, ``compacted`` that this state is what the
    conversation was so far.
    """

    key: str = ""
    named: bool = False
    continues: bool = True
    sealed: bool = False
    compacted: bool = False


_NAMELESS = Conversation()


class _Turn(msgspec.Struct):
    role: str | None = None


class _UserId(msgspec.Struct):
    session_id: str = ""


_turn = msgspec.json.Decoder(_Turn)
_user_id = msgspec.json.Decoder(_UserId)


def conversation_of(call: Call) -> Conversation:
    """Return the conversation of a call; never raises, whatever the client sent."""
    body = call.body
    if body is None or not call.endpoint.needs_model:
        return _NAMELESS
    named = _by_header(call.headers) or _by_body(body)
    sealed = _is_sealed(call, body)
    if named is None and not sealed:
        return _NAMELESS
    compacted = sealed and _COMPACTED.search(body.raw("input") or b"") is not None
    key = digest(call.caller, *named) if named is not None else ""
    return Conversation(key, named=named is not None, sealed=sealed, compacted=compacted)


def by_its_beginning(call: Call, conversation: Conversation) -> Conversation:
    """Return a conversation that nobody named with the key that its beginning gives it; a named one as it is."""
    if conversation.named or call.body is None or not call.endpoint.needs_model:
        return conversation
    beginning, continues = _beginning(call, call.body)
    key = digest(call.caller, "beginning", beginning) if beginning else ""
    return msgspec.structs.replace(conversation, key=key, continues=continues)


def keys_of(caller: Caller, name: str) -> list[str]:
    """Return the keys that a caller's conversation of this name may have; the name itself too where it is a key."""
    text = name.encode("utf-8", "replace")
    keys = [digest(caller, source, text) for source in (*HEADERS, "prompt_cache_key", "user_id")]
    keys.append(digest(caller, "conversation", msgspec.json.encode(name)))
    keys.append(digest(caller, "conversation", msgspec.json.encode({"id": name})))
    return [*keys, name] if _KEY.fullmatch(name) else keys


def digest(caller: Caller, source: str, name: bytes) -> str:
    """Return a hash keyed by the caller's secret mark: no other user's, and of no use for guessing names."""
    key = caller.owner_mark.encode()[:64]
    return blake2b(name, digest_size=16, key=key, person=source.encode()[:16]).hexdigest()


@lru_cache(maxsize=1024)
def _by_header(headers: tuple[tuple[str, str], ...]) -> tuple[str, bytes] | None:
    """Return what a session's header names; the same headers come with many calls."""
    given = [(HEADERS.index(name), name, value) for name, value in headers if name in HEADERS and value]
    if not given:
        return None
    _, name, value = min(given)
    return name, value.encode("utf-8", "replace")


def _by_body(body: Envelope) -> tuple[str, bytes] | None:
    if not body.has_any(_NAMING):
        return None
    if (name := _text(body, "prompt_cache_key")) is not None:
        return "prompt_cache_key", name.encode("utf-8", "replace")
    if (session := _anthropic_session(body)) is not None:
        return "user_id", session.encode("utf-8", "replace")
    raw = body.raw("conversation")
    if raw is not None and raw not in (b"null", b'""'):
        return "conversation", raw
    return None


def _text(body: Envelope, name: str) -> str | None:
    raw = body.raw(name)
    if raw is None or not raw.startswith(b'"'):
        return None
    try:
        return msgspec.json.decode(raw, type=str) or None
    except _BROKEN:
        return None


def _anthropic_session(body: Envelope) -> str | None:
    """Return the session part of ``metadata.user_id``: a member of a JSON string, or what follows ``session_``."""
    raw = body.raw("metadata")
    if raw is None or b'"user_id"' not in raw:
        return None
    try:
        user_id = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])["user_id"]
        told = msgspec.json.decode(user_id, type=str)
        if told.startswith("{"):
            return _user_id.decode(told).session_id or None
    except (*_BROKEN, KeyError):
        return None
    found = _SESSION.search(told)
    return found[1] if found else None


def _beginning(call: Call, body: Envelope) -> tuple[bytes, bool]:
    """Return what tells one conversation from another without a name, and whether there is more of it.

    That is its instructions and its turns up to the user's first.
    """
    system, turns = _BEGINNINGS.get(call.endpoint.name.partition(".")[0], ("", ""))
    raw = body.raw(turns)
    if not raw:
        return b"", False
    parts, continues = _first_turns(raw) if raw.startswith(b"[") else ([_gist(raw)], False)
    return b"\0".join((_gist(body.raw(system) or b""), *parts)), continues


def _first_turns(raw: bytes) -> tuple[list[bytes], bool]:
    """Return the gist of each turn up to the user's first, and whether more follow."""
    try:
        turns = _turns.decode(raw)
    except _BROKEN:
        return [_gist(raw)], False
    parts = []
    for turn in turns:
        parts.append(_gist(bytes(turn)))
        try:
            if _turn.decode(turn).role == "user":
                break
        except _BROKEN:
            continue
    return parts, len(parts) < len(turns)


def _gist(text: bytes) -> bytes:
    """Return a long text's ends and length in place of the whole."""
    return text if len(text) <= 2 * GIST else b"%b\0%d\0%b" % (text[:GIST], len(text), text[-GIST:])


def _is_sealed(call: Call, body: Envelope) -> bool:
    """Whether there are encrypted items (OpenAI) or signed thoughts (Anthropic) in the body.

    Inside a text the quotes of these names would be escaped, so that words about them aren't taken for them.
    """
    if call.endpoint.protocol is Protocol.ANTHROPIC:
        raw = body.raw("messages") or b""
        return holds(raw, b'thinking"') and _SIGNED.search(raw) is not None
    raw = body.raw("input") or b""
    return holds(raw, b'"encrypted_content"') and _SEALED.search(raw) is not None
