"""What was entered: cleaned, or refused with the name of the field and a sentence that says how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.services.wording import say as _

if TYPE_CHECKING:
    from collections.abc import Collection


class FieldError(Exception):
    """Something entered that can't be used; ``field`` names where, ``str()`` is a sentence for the person."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


Refuse = type[FieldError]


def line(text: str, *, field: str, longest: int, refuse: Refuse, empty: bool = False) -> str:
    """Return ``text`` without the space around it. Raises ``refuse`` unless it is one printable line that fits."""
    text = text.strip()
    if not text and not empty:
        raise refuse(field, _("Enter something here."))
    if len(text) > longest:
        raise refuse(field, _("At most %(longest)d characters fit here.", longest=longest))
    if not text.isprintable():
        raise refuse(field, _("Use printable characters on one line."))
    return text


def number(value: int, *, field: str, lowest: int, highest: int, refuse: Refuse) -> int:
    """Return ``value``. Raises ``refuse`` unless it lies between ``lowest`` and ``highest``."""
    if not lowest <= value <= highest:
        raise refuse(field, _("Enter a number from %(lowest)d to %(highest)d.", lowest=lowest, highest=highest))
    return value


def choice(value: str, *, field: str, known: Collection[str], refuse: Refuse) -> str:
    """Return ``value``. Raises ``refuse`` unless it is one of ``known``."""
    if value not in known:
        raise refuse(field, _("Choose one of: %(known)s.", known=", ".join(known)))
    return value
