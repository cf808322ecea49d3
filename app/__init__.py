"""Realms: a relay between a team and its language-model providers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from app.settings import Settings


class Realms(Flask):
    """Flask without its question, asked of every hook of every request, whether a function is a coroutine."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: none here is a coroutine."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """Return the application. Raises ``ConfigError`` for an environment that can't be run."""
    from app import cli, logs, wiring
    from app.extensions import db
    from app.services import engines
    from app.settings import load

    settings = settings or load()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    logs.configure()

    app = Realms(__name__, template_folder="../templates", static_folder="../static")
    app.debug = False  # whatever FLASK_DEBUG says: its debugger would run code for whoever meets an error
    app.url_map.merge_slashes = False  # a redirect would answer a caller's POST with another address
    app.config.update(
        SECRET_KEY=settings.signing_keys[0],
        SECRET_KEY_FALLBACKS=settings.signing_keys[1:],
        SQLALCHEMY_DATABASE_URI=settings.database_url.get_secret_value(),
        SQLALCHEMY_ENGINE_OPTIONS=engines.engine_options(settings),
        MAX_FORM_MEMORY_SIZE=256 * 1024,
        MAX_FORM_PARTS=100,
    )
    _extend(app)
    with app.app_context():
        engines.prepare(db.engine)
        app.extensions["realms.house"] = wiring.furnish(app, settings, db.engine)
    _open_rooms(app, settings)
    _open_doors(app, settings)
    cli.register(app)
    return app


def _extend(app: Flask) -> None:
    from app.extensions import csrf, db, migrate
    from app.services import schema

    db.init_app(app)
    migrate.init_app(app, db, directory=str(schema.MIGRATIONS))
    csrf.init_app(app)


def _open_rooms(app: Flask, settings: Settings) -> None:
    from app import admin, api, console, web
    from app.extensions import csrf

    room = api.build()
    csrf.exempt(room)
    app.register_blueprint(room)
    web.init_app(app, settings)
    app.register_blueprint(console.blueprint)
    app.register_blueprint(admin.blueprint, url_prefix="/admin")


def _open_doors(app: Flask, settings: Settings) -> None:
    """Put what sees a request before Flask in front of it; the last one set sees it first."""
    from app.api.front import Front
    from app.web.proxies import TrustedProxies

    if settings.fast:
        app.wsgi_app = Front(app.wsgi_app, app.extensions["realms.api"])  # type: ignore[method-assign]
    if settings.trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
