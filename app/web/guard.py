"""Refuses before any view runs: odd addresses, and forged state changes: other sites', and forms without our token."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from flask import abort, request

from app.extensions import csrf

if TYPE_CHECKING:
    from flask import Flask

MACHINES = ("/v1", "/static", "/healthz", "/livez", "/readyz")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OURS = frozenset({"", "none", "same-origin"})
"""What ``Sec-Fetch-Site`` may say of a state change; old browsers send none and are left to the form's token."""
FORM_BYTES = 256 * 1024


def for_machines(path: str) -> bool:
    """Whether ``path`` belongs to machines: no cookie is read there, no page is shown."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in MACHINES)


def in_a_room_of_people() -> bool:
    """Whether this request is for a page; the api room also answers paths that clients mistake for its own."""
    return request.blueprint != "api" and not for_machines(request.path)


def init_app(app: Flask) -> None:
    """Check every address and every state change of the rooms."""
    # Our hook calls csrf.protect() itself, so that machines are left out and a foreign site is told apart (403).
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None, WTF_CSRF_SSL_STRICT=False)
    app.before_request(refuse_odd_addresses)
    app.before_request(refuse_forgeries)


def refuse_odd_addresses() -> None:
    """Abort with 400 for a NUL in an address: no text that is kept has one, and PostgreSQL refuses the question."""
    told = (request.path, *chain.from_iterable(request.args.items(multi=True)))
    if in_a_room_of_people() and any("\0" in text for text in told):
        abort(400)


def refuse_forgeries() -> None:
    """Abort with 403 for another site's request, 400 for a form without our token, 413 for a giant one."""
    if request.method in SAFE or request.endpoint is None or not in_a_room_of_people():
        return
    request.max_content_length = FORM_BYTES
    request.max_form_memory_size = FORM_BYTES
    request.max_form_parts = 100
    if request.headers.get("Sec-Fetch-Site", "").lower() not in OURS:
        abort(403)
    csrf.protect()
