"""Secrets in a configuration file: never themselves, only where they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.settings import named

NONE = "none"
ENV, FILE = "env:", "file:"
LONGEST = 500
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Reference:
    """``env:NAME``, ``file:PATH``, or ``none`` for an upstream that wants no key; ``secret`` once it was looked up."""

    text: str
    secret: SecretStr | None = None

    def __str__(self) -> str:
        return self.text

    def holds_the_same(self, other: Reference) -> bool:
        """Return whether both hold a secret, and the same one."""
        if self.secret is None or other.secret is None:
            return False
        return compare_digest(self.secret.get_secret_value().encode(), other.secret.get_secret_value().encode())

    @classmethod
    def read(cls, value: Any) -> Reference:
        """Read a reference. Raises ``ValueError``, which never repeats what may be a secret."""
        if not isinstance(value, str) or len(value) > LONGEST or not _is_reference(value):
            raise ValueError("must be env:NAME, file:PATH or none: secrets stand in no configuration file")
        return cls(value)

    def looked_up(self, folder: Path) -> Reference:
        """Return the reference with its secret; paths are relative to ``folder``. Raises ``ValueError``."""
        if self.text == NONE:
            return Reference(self.text, SecretStr(""))
        if self.text.startswith(ENV):
            value = named(self.text.removeprefix(ENV))
        else:
            value = _content(folder / self.text.removeprefix(FILE))
        if not value:
            raise ValueError(f"{self.text} is not set" if self.text.startswith(ENV) else f"{self.text} is empty")
        return Reference(self.text, SecretStr(value))


def kept(reference: Reference) -> str:
    """Return what is kept of a reference beside the sealed secret, for exports."""
    return "" if reference.text == NONE else reference.text


def _is_reference(value: str) -> bool:
    if value.startswith(ENV):
        return _NAME.fullmatch(value.removeprefix(ENV)) is not None
    return value == NONE or (value.startswith(FILE) and len(value) > len(FILE) and value.isprintable())


def _content(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise ValueError(f"{FILE}{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{FILE}{path}: is not text") from None
