"""What the two HTML rooms share: who is signed in, language, headers, forms, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.web import compression, cookies, errors, filters, guard, headers, locale, people, throttle, times

if TYPE_CHECKING:
    from flask import Flask

    from app.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Prepare ``app`` for the rooms; the paths of machines (see ``guard.for_machines``) stay untouched."""
    cookies.init_app(app, settings)
    headers.init_app(app, settings)
    compression.init_app(app)
    guard.init_app(app)
    people.init_app(app)
    throttle.init_app(app)
    locale.init_app(app)
    filters.init_app(app)
    times.init_app(app)
    errors.init_app(app)
