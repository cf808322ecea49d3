"""Writes the configuration as a file tells it: secrets by reference, or not at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from app.models.base import utcnow
from app.services.declared.applying import kinds_of, present, sections
from app.services.declared.form import form_of
from app.services.declared.reading import FORM, VERSION
from app.services.declared.references import ENV, NONE, Reference

if TYPE_CHECKING:
    from collections.abc import Collection

    from app.services.declared.kinds import Found
    from app.services.declared.reading import Path

HEAD = """\
# The configuration of a Realms, for `flask apply`. No secret stands here. A key that was entered by hand is kept where
# it is; for another Realms say where it is found:  secret: env:NAME  or  secret: file:PATH  (flask export --references
# names one for each key, and for each proxy's login).
"""


def written(*, only: Collection[str] = (), references: bool = False) -> dict[str, Any]:
    """Return the configuration as plain values; with ``references`` every key is given one."""
    told: dict[str, Any] = {FORM: VERSION}
    told |= {name: {} for name in sections() if not only or name in only}
    for found in present(kinds_of({})).values():
        if found.path[0] in told and not _is_over(found):
            _place(told, found, references=references)
    return told


def as_yaml(told: dict[str, Any]) -> str:
    """Return the configuration as the text of a file."""
    return HEAD + yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120)


def _place(told: dict[str, Any], found: Found, *, references: bool) -> None:
    """Put a row where its path leads."""
    at = told
    for name in found.path[:-1]:
        at = at.setdefault(name, {})
    row = at.setdefault(found.path[-1], {})
    known = form_of(found.path).fields
    for name, value in found.fields.items():
        shown = _reference(found.path, value, references=references) if isinstance(value, Reference) else value
        if shown is not None:
            row[name] = known[name].show(shown)


def _reference(path: Path, value: Reference, *, references: bool) -> Reference | None:
    if value.text == NONE or value.text:
        return value
    return Reference(ENV + invented(path)) if references else None


def invented(path: Path) -> str:
    """Return a name for the environment that a credential's key, or an upstream's login, may be found under."""
    wanted = f"{path[1]}_{path[3]}_key" if len(path) > 2 else f"{path[1]}_proxy_login"
    name = re.sub(r"[^A-Z0-9]+", "_", wanted.upper()).strip("_")
    return name if name[0].isalpha() else f"KEY_{name}"


def _is_over(found: Found) -> bool:
    """Whether an announcement isn't shown any more."""
    ends_at = found.fields.get("ends_at")
    return ends_at is not None and ends_at <= utcnow()
