"""Realms: a relay between a team and its language-model providers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from app import settings as configuration


class Realms(Flask):
    """Flask without its question, asked of every hook of every request, whether a function is a coroutine."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: none here is a coroutine."""
        return func


def create_app(settings: configuration.Settings | None = None) -> Flask:
    """Return the application. Raises ``ConfigError`` for an environment that can't be run."""
    from app import admin, api, cli, console, logs, web, wiring
    from app.extensions import csrf, db, migrate
    from app.services import engines, schema
    from app.web.proxies import TrustedProxies

    settings = settings or configuration.load()
    logs.configure()

    app = Realms(__name__, template_folder="../templates", static_folder="../static")
    app.url_map.merge_slashes = False  # a redirect would answer a caller's POST with another address
    app.config.update(
        SECRET_KEY=settings.secret_key.get_secret_value(),
        SQLALCHEMY_DATABASE_URI=settings.database_url.get_secret_value(),
        SQLALCHEMY_ENGINE_OPTIONS=engines.engine_options(settings),
        MAX_FORM_MEMORY_SIZE=256 * 1024,
        MAX_FORM_PARTS=100,
    )
    settings.data_dir.mkdir(parents=True, exist_ok=True)

    db.init_app(app)
    migrate.init_app(app, db, directory=str(schema.MIGRATIONS))
    csrf.init_app(app)
    with app.app_context():
        engine = db.engine
    engines.prepare(engine)

    house = wiring.furnish(app, settings, engine)
    app.extensions["realms.house"] = house

    room = api.build()
    room.before_request_funcs.setdefault(None, []).insert(0, house.start)
    csrf.exempt(room)
    app.register_blueprint(room)
    web.init_app(app, settings)
    app.register_blueprint(console.blueprint)
    app.register_blueprint(admin.blueprint, url_prefix="/admin")
    cli.register(app)
    if settings.trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    return app
