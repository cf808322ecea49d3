"""Where a call would go, or where one went, and why nowhere else: as a page and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from flask import Response, render_template, request

from app.admin import blueprint
from app.admin.forms import ExplainForm
from app.services import explanations, upstreams
from app.services.explanations import ExplainError, Row, Story

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/explain")
def explain() -> ResponseReturnValue:
    """Show what is asked for in the query; ``format=json`` answers programs."""
    form = ExplainForm(request.args)
    rows: list[Row] | None = None
    story: Story | None = None
    refused = 0
    try:
        if form.request_id.data:
            story = explanations.of_request(form.request_id.data)
        elif form.model.data:
            rows = explanations.hypothetical(
                model=form.model.data,
                token_id=int(form.token.data) if form.token.data.isdecimal() else None,
                endpoint=form.endpoint.data,
                conversation=form.conversation.data,
            )
    except ExplainError as error:
        form.refuse(error)
        refused = 404
    if request.args.get("format") == "json":
        told = {"places": rows, "request": story} if not refused else {"error": form.words}
        return Response(msgspec.json.encode(told), refused or 200, content_type="application/json")
    numbers = {upstream.name: upstream.id for upstream in upstreams.list_all()}
    return render_template("admin/explain.html", form=form, rows=rows, story=story, numbers=numbers)
