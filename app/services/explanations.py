"""Explains for people, with names: where a call would go, and where one went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from app.extensions import db
from app.models import Token
from app.protocol.call import Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.errors import RelayError
from app.services import history, upstreams
from app.services.context import context
from app.services.fields import FieldError
from app.services.wording import say as _

if TYPE_CHECKING:
    from app.models import Record

ANYBODY = Caller(user_id=0, token_id=0, owner_mark="")


class ExplainError(FieldError):
    """Something that can't be explained as asked."""


class Row(msgspec.Struct, frozen=True):
    """One place, in words; see ``services.explain.Line``."""

    order: int | None
    upstream: str
    credential: str
    model: str
    priority: int
    weight: int
    under_way: int
    reason: str
    returns_s: int | None


class Story(msgspec.Struct, frozen=True):
    """Where one request went: its attempts in order, and what was left out beforehand."""

    record: dict[str, Any]
    attempts: list[dict[str, Any]]
    left_out: list[dict[str, str]]


class _Names:
    """What upstreams and credentials are called; those that are gone by their number."""

    def __init__(self) -> None:
        listed = upstreams.list_all()
        self._upstreams = {each.id: each.name for each in listed}
        self._credentials = {one.id: (each.name, one.name) for each in listed for one in each.credentials}

    def upstream(self, number: int) -> str:
        return self._upstreams.get(number, f"upstream {number}")

    def credential(self, number: int | None) -> str:
        return "" if number is None else self._credentials.get(number, ("", f"credential {number}"))[1]

    def of_key(self, key: str) -> str:
        """Return what a cool-down is of, by its key: ``u:1``, ``c:2``, ``r:1:model``, ``e:1:endpoint``.

        ``s:2`` is no cool-down, but what a credential's account can't read of a request.
        """
        kind, number, *rest = key.split(":", 2)
        if kind in {"c", "s"}:
            upstream, name = self._credentials.get(int(number), ("", f"credential {number}"))
            shown = f"{upstream} / {name}" if upstream else name
            return shown if kind == "c" else _("encrypted items of the request, at %(place)s", place=shown)
        return " / ".join([self.upstream(int(number)), *rest])


def hypothetical(*, model: str, token_id: int | None = None, endpoint: str = "", conversation: str = "") -> list[Row]:
    """Return where a call would go, the first place first, and the others with why it wouldn't.

    ``conversation`` is a record's key. Raises ``ExplainError`` for what isn't there, or isn't this token's.
    """
    if endpoint and (endpoint not in BY_NAME or not BY_NAME[endpoint].needs_model):
        raise ExplainError("endpoint", _("There is no such endpoint."))
    try:
        lines = context().explainer.lines(_caller(token_id), model, endpoint=endpoint, conversation=conversation)
    except RelayError as error:
        raise ExplainError("model", error.message) from None
    names = _Names()
    return [
        Row(
            line.order,
            names.upstream(line.upstream_id),
            names.credential(line.credential_id),
            line.model,
            line.priority,
            line.weight,
            line.under_way,
            line.reason,
            line.returns_s,
        )
        for line in lines
    ]


def of_request(request_id: str) -> Story:
    """Return where a request went, by the id that its caller was told. Raises ``ExplainError``."""
    record = history.find(request_id)
    if record is None:
        raise ExplainError("request", _("There is no record of this request."))
    names = _Names()
    attempts = [
        {
            "upstream": names.upstream(each.upstream_id),
            "credential": names.credential(each.credential_id),
            "status": each.status,
            "error": each.error,
            "total_ms": each.total_ms,
        }
        for each in history.attempts(record.id)
    ]
    return Story(_shown(record), attempts, [{"what": what, "reason": reason} for what, reason in left_out(record)])


def left_out(record: Record) -> list[tuple[str, str]]:
    """Return what was left out before a request was tried anywhere, in words, and why."""
    names = _Names() if record.left_out else None
    return [(names.of_key(key), reason) for key, reason in record.left_out or () if names]


def _shown(record: Record) -> dict[str, Any]:
    names = ("request_id", "endpoint", "model", "upstream_model", "status", "end", "reason", "total_ms", "conversation")
    return {"at": record.at.isoformat(timespec="milliseconds")} | {name: getattr(record, name) for name in names}


def _caller(token_id: int | None) -> Caller:
    if token_id is None:
        return ANYBODY
    token = db.session.get(Token, token_id)
    caller = context().directory.caller(token.digest) if token is not None else None
    if caller is None:
        raise ExplainError("token", _("There is no valid token of this number."))
    return caller
