"""One try of a password or a code: throttled, and a new sign-in for this browser when it was right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import request
from flask_babel import ngettext

from app.services import second_factor
from app.services.context import context
from app.services.keys import peer_mark
from app.web import people
from app.web.throttle import network, throttle

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.models import User
    from app.web.forms import Form

log = structlog.get_logger()
ENTERED, HALFWAY, REFUSED, THROTTLED = 303, 307, 200, 429


def one_try(form: Form, *, email: str, check: Callable[[], User | None], refusal: str, alone: bool = True) -> int:
    """Sign in whom ``check`` returns and answer ``ENTERED``; else tell why in ``form`` and answer the page's status.

    While ``email`` or this network has to wait, ``check`` isn't called at all. What isn't enough ``alone`` brings who
    has a second factor ``HALFWAY``: failures aren't forgotten before the code is right, or whoever knows the password
    could guess codes without end.
    """
    address = request.remote_addr or ""
    subjects = throttle().subjects(email, address)
    if wait_s := throttle().wait_s(subjects):
        form.form_errors.append(_wait(wait_s))
        return THROTTLED
    user = check()
    if user is None:
        throttle().failed(subjects)
        log.warning("sign_in_failed", peer=peer_mark(context().settings.signing_keys[0], address))
        form.form_errors.append(refusal)
        return REFUSED
    if not alone and second_factor.is_on(user.id):
        people.begin_sign_in(user)
        return HALFWAY
    throttle().succeeded(email, address)
    people.sign_in(user)
    return ENTERED


def may_mail(form: Form, email: str) -> bool:
    """Whether a mail may be sent to ``email`` for who asks; each that may counts, and ``form`` tells of the wait."""
    subjects = (f"mail to {email}", f"mail from {network(request.remote_addr or '')}")
    if wait_s := throttle().wait_s(subjects):
        form.form_errors.append(_wait(wait_s))
        return False
    throttle().failed(subjects)
    return True


def _wait(seconds: float) -> str:
    minutes = int(seconds // 60) + 1
    told = ngettext(
        "Too many tries. Wait a minute, then try again.",
        "Too many tries. Wait %(num)d minutes, then try again.",
        minutes,
    )
    return str(told)
