"""Stored objects, each in the account of the key that made it; the oldest go when there are too many."""

import hashlib
import secrets
import time
from collections import deque
from typing import Any

import msgspec

from simulator.options import Options

KEPT = 50_000


class StoredResponse(msgspec.Struct):
    id: str
    asked: bytes
    """The request's body: its input items are read from it when somebody asks."""
    opening: bytes
    final: bytes
    options: Options
    due: float | None = None
    """When a background response is complete, by time.monotonic."""
    cancelled: bool = False


class StoredChat(msgspec.Struct):
    id: str
    asked: dict[str, Any]
    completion: dict[str, Any]


class StoredConversation(msgspec.Struct):
    id: str
    created: int
    metadata: dict[str, str]
    items: dict[str, dict[str, Any]]

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "conversation",
            "created_at": self.created,
            "metadata": self.metadata,
        }


class Account:
    """What one key owns."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.mark = hashlib.sha256(key.encode()).hexdigest()[:16]
        """Stands in what this account seals: no other can read it."""
        self.responses: dict[str, StoredResponse] = {}
        self.stems: dict[str, StoredResponse] = {}
        """The same by the part of the id that the ids of their items share."""
        self.chats: dict[str, StoredChat] = {}
        self.conversations: dict[str, StoredConversation] = {}

    def drop_response(self, ident: str) -> bool:
        self.stems.pop(stem(ident), None)
        return self.responses.pop(ident, None) is not None

    def has_item(self, ident: str) -> bool:
        """Whether an item of a stored response or of a conversation has this id."""
        if stem(ident)[:-4] in self.stems:
            return True
        return any(ident in conversation.items for conversation in self.conversations.values())


class Store:
    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._order: deque[tuple[Account, StoredResponse | StoredChat]] = deque()

    def account(self, key: str) -> Account:
        found = self._accounts.get(key)
        if found is None:
            found = self._accounts[key] = Account(key)
        return found

    def keep(self, account: Account, kept: StoredResponse | StoredChat) -> None:
        if isinstance(kept, StoredResponse):
            account.responses[kept.id] = kept
            account.stems[stem(kept.id)] = kept
        else:
            account.chats[kept.id] = kept
        self._order.append((account, kept))
        if len(self._order) > KEPT:
            owner, oldest = self._order.popleft()
            if isinstance(oldest, StoredResponse):
                owner.drop_response(oldest.id)
            else:
                owner.chats.pop(oldest.id, None)


def mint(prefix: str, wanted: str | None) -> str:
    """A new id; a fault may have asked for a certain one (`same_id`) or a certain length (`long_id`)."""
    if wanted is None:
        return prefix + secrets.token_hex(24)
    if wanted.startswith("long:"):
        size = max(int(wanted[5:]) - len(prefix), 1)
        return prefix + (secrets.token_urlsafe(size) + "=")[-size:]
    return wanted


def stem(ident: str) -> str:
    return ident.partition("_")[2] or ident


def item_id(prefix: str, owner: str, number: int) -> str:
    """An item's id, from which its response can be found again."""
    return f"{prefix}_{stem(owner)}{number:04x}"


def now() -> int:
    return int(time.time())
