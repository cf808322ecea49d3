"""What happened and what is kept: the audit, and the registry of stored objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.admin import blueprint
from app.services import audit as trail
from app.services import objects as registry
from app.web.people import password_again, person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

PAGE = 50
ENTERED_MAX = 512


@blueprint.get("/audit")
def audit() -> ResponseReturnValue:
    """Tell who changed what, newest first; filters and place stand in the address."""
    filters = {name: _entered(name) for name in ("actor", "action", "target")}
    entries = trail.list_entries(before_id=_before(), limit=PAGE + 1, **filters)
    older = entries[PAGE - 1].id if len(entries) > PAGE else None
    return render_template("admin/audit.html", entries=entries[:PAGE], filters=filters, older=older)


@blueprint.get("/objects")
def objects() -> ResponseReturnValue:
    """Tell who owns an id, and what somebody owns."""
    filters = {"object_id": _entered("object_id"), "email": _entered("email")}
    found = registry.search(before_id=_before(), limit=PAGE + 1, **filters)
    older = found[PAGE - 1].id if len(found) > PAGE else None
    return render_template("admin/objects.html", objects=found[:PAGE], filters=filters, older=older)


@blueprint.route("/objects/<int:row_id>/forget", methods=["GET", "POST"])
@password_again
def forget_object(row_id: int) -> ResponseReturnValue:
    """Ask, then let an object be unknown to its owner too."""
    if request.method == "GET":
        return render_template("admin/object_forget.html", row_id=row_id)
    registry.forget(row_id, actor=person().user)
    flash(_("The object is forgotten."), "good")
    return redirect(url_for("admin.objects"))


def _entered(name: str) -> str:
    return request.args.get(name, "").strip()[:ENTERED_MAX]


def _before() -> int | None:
    return request.args.get("before", type=int)
