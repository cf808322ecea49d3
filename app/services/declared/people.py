"""People, and what they and models may use, as a file tells them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from app.protocol.limit import Measure
from app.services import accounts, allowances
from app.services.declared.form import EVERYTHING
from app.services.declared.kinds import Found, Kind, Putting
from app.services.fields import FieldError

if TYPE_CHECKING:
    from app.models import User
    from app.services.declared.reading import Path, Row

ENABLED = {"enabled": True}


class Users(Kind):
    """People with a login. Nobody's row is deleted: who is dropped is locked out."""

    shape = ("users",)
    once = frozenset({"initial_password"})
    gone = "disable"

    def found(self) -> Iterator[Found]:
        for user in accounts.list_users():
            told = {"name": user.name, "role": user.role, "enabled": user.disabled_at is None}
            yield Found(("users", user.email), told, user.declared)

    def put(self, putting: Putting) -> None:
        row = putting.row
        user = accounts.admit(putting.draft, actor=None) if putting.before is None else user_at(putting.path)
        if putting.before is not None and putting.differs("name", "role"):
            accounts.update_user(user.id, name=row["name"], role=row["role"], actor=None)
        if row.get("enabled", True) != (putting.before or ENABLED)["enabled"]:
            accounts.set_disabled(user.id, disabled=not row["enabled"], actor=None)

    def drop(self, path: Path) -> None:
        accounts.set_disabled(user_at(path).id, disabled=True, actor=None)

    def rows(self, path: Path) -> Iterable[Any]:
        return [user_at(path)]

    def is_gone(self, row: Row) -> bool:
        return not row["enabled"]


def draft(path: Path, row: Row) -> User:
    """Return a person to be admitted; the slow hashing happens here, before any transaction.

    Without a password of the file's nobody knows theirs: an administrator hands them a link. Raises ``FieldError``.
    """
    given = row.get("initial_password")
    password = given.secret.get_secret_value() if given is not None and given.secret else secrets.token_urlsafe(32)
    try:
        return accounts.draft(
            email=path[1], password=password, name=row.get("name", ""), role=row.get("role", accounts.USER)
        )
    except FieldError as error:
        raise FieldError("initial_password" if error.field == "password" else error.field, str(error)) from None


class Limits(Kind):
    """What a user, or everybody together on a model, may use. A limit is told whole: what isn't named isn't limited."""

    def __init__(self, section: str, scope: str, subject: Callable[[Path], Any]) -> None:
        self.shape = (section, "limits")
        self._section, self._scope, self._subject = section, scope, subject

    def found(self) -> Iterator[Found]:
        for name, row in allowances.list_all(self._scope):
            told = {measure.value: getattr(row, measure.value) for measure in Measure}
            yield Found((self._section, name, "limits", row.model or EVERYTHING), told, row.declared)

    def put(self, putting: Putting) -> None:
        if not any(value is not None for value in putting.row.values()):
            raise FieldError("", "It names no limit. Leave it out.")
        self._set(putting.path, {measure: putting.row[measure.value] for measure in Measure})

    def drop(self, path: Path) -> None:
        self._set(path, {})

    def rows(self, path: Path) -> Iterable[Any]:
        mine = allowances.list_for(self._scope, self._subject(path).id)
        return [row for row in mine if (row.model or EVERYTHING) == path[3]]

    def normal(self, path: Path, row: Row) -> Row:
        return {measure.value: row.get(measure.value) for measure in Measure}

    def _set(self, path: Path, most: dict[Measure, int | None]) -> None:
        model = "" if path[3] == EVERYTHING else path[3]
        allowances.put(self._scope, self._subject(path).id, model=model, most=most, actor=None)


def user_at(path: Path) -> User:
    """Return the person that a path leads to. Raises ``FieldError`` when nobody has this address."""
    user = accounts.by_email(path[1])
    if user is None:
        raise FieldError("", "There is no such user.")
    return user
