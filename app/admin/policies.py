"""What is wanted otherwise at an upstream: seen, tried, saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.admin import blueprint
from app.admin.forms import PolicyForm
from app.protocol.endpoints import ENDPOINTS
from app.services import policies
from app.services import upstreams as service
from app.services.policies import PolicyError
from app.upstreams import UPSTREAMS
from app.web.people import password_again, person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/upstreams/<int:upstream_id>/policy", methods=["GET", "POST"])
@password_again
def policy(upstream_id: int) -> ResponseReturnValue:
    """Show the policy of an upstream, try another one on a request, or save it."""
    upstream = service.get(upstream_id) or abort(404)
    adapter = UPSTREAMS[upstream.kind]
    offered = [each for each in ENDPOINTS if adapter.serves(each) and each.takes_body and each.needs_model]
    form = PolicyForm(
        {each.name: each.path for each in offered},
        data={"policy": policies.as_text(upstream), "endpoint": offered[0].name, "body": policies.SAMPLE},
    )
    tried = ""
    if form.validate_on_submit():
        text = form.policy.data or ""
        try:
            if "save" in request.form:
                policies.save(upstream_id, text, actor=person().user, proxy_login=form.wanted_login)
                flash(_("The policy is in force."), "good")
                return redirect(url_for("admin.upstream", upstream_id=upstream_id))
            tried = policies.dry_run(upstream, text, endpoint=form.endpoint.data, body=form.body.data or "")
        except PolicyError as error:
            form.refuse(error)
    return render_template("admin/policy.html", form=form, upstream=upstream, tried=tried)
