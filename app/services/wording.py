"""Sentences of services: in the reader's language on a page, in English on the command line."""

from __future__ import annotations

from flask import has_request_context
from flask_babel import gettext


def say(message: str, **values: object) -> str:
    """Return ``message``, which ``pybabel extract`` finds under the name ``_``, with its ``%(name)s`` filled in."""
    if has_request_context():
        return str(gettext(message, **values))
    return message % values if values else message
