"""Hashes and checks passwords with argon2id, off the event loop, and refuses those that everybody tries first."""

from __future__ import annotations

import gzip
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from gevent import monkey
from gevent.threadpool import ThreadPool

from app.services.wording import say as _

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

SHORTEST, LONGEST = 8, 1024
THREADS = 2
"""Each hash takes 64 MiB and a core for some 50 ms: a flood of sign-ins must take neither all of them."""

_COMMON = Path(__file__).with_name("common_passwords.txt.gz")
_hasher = PasswordHasher()


def hash_password(password: str) -> str:
    """Return the argon2id hash to keep."""
    return _aside(lambda: _hasher.hash(_bytes(password)))


def verify(password_hash: str, password: str) -> bool:
    """Return whether ``password`` is the one that was hashed."""
    return _aside(lambda: _matches(password_hash, password))


def verify_nobody(password: str) -> bool:
    """Return False after the time that ``verify`` takes, so that an unknown name can't be told from a known one."""
    verify(_nobodys_hash(), password)
    return False


def complaint(password: str) -> str | None:
    """Return why ``password`` can't be taken, as a sentence for the person, or None when it can."""
    if len(password) < SHORTEST:
        return _("Use at least %(shortest)d characters.", shortest=SHORTEST)
    if len(password) > LONGEST:
        return _("Use at most %(longest)d characters.", longest=LONGEST)
    if password.lower() in _common():
        return _("This password is one of the first that attackers try. Choose another one.")
    return None


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, _bytes(password))
    except (VerificationError, InvalidHashError):
        return False


def _bytes(password: str) -> bytes:
    """Keyboards compose the same letters differently (NFC, NFD); what looks the same must count as the same."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _aside(work: Callable[[], Result]) -> Result:
    """Do ``work`` in a thread where greenlets share this one, as argon2 would stop them all meanwhile."""
    if not monkey.is_module_patched("socket"):
        return work()
    return _threads().apply(work)


@cache
def _threads() -> ThreadPool:
    return ThreadPool(THREADS)


@cache
def _nobodys_hash() -> str:
    return _hasher.hash(_bytes("nobody"))


@cache
def _common() -> frozenset[str]:
    return frozenset(gzip.decompress(_COMMON.read_bytes()).decode().splitlines())
