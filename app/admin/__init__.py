"""The room of administrators. Others don't learn which pages it has."""

from __future__ import annotations

from flask import Blueprint

from app.web import people

blueprint = Blueprint("admin", __name__)
blueprint.before_request(people.require_admin)

from app.admin import (  # noqa: E402, F401 - views register themselves
    catalog,
    codex,
    credentials,
    explain,
    house,
    limits,
    links,
    live,
    overview,
    policies,
    prices,
    records,
    traffic,
    upstreams,
    users,
)
