"""The rooms as browsers meet them: an application of both, and browsers that find and send its forms."""

import re

from bs4 import BeautifulSoup
from flask import Flask

from app.extensions import db
from app.services.context import Context
from app.services.vault import Vault
from app.relay.egress import Egress
from tests.conftest import PASSWORD, Directory


def make_rooms_app(settings) -> Flask:
    import app.admin
    import app.console
    import app.web

    flask = Flask("app", template_folder="../templates", static_folder="../static")
    flask.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url.get_secret_value()
    flask.config["SECRET_KEY"] = settings.secret_key.get_secret_value()
    db.init_app(flask)
    vault = Vault(settings.vault_keys.get_secret_value().split(","))
    flask.extensions["realms"] = Context(settings, vault, Directory(), Egress(settings))
    app.web.init_app(flask, settings)
    flask.register_blueprint(app.console.blueprint)
    flask.register_blueprint(app.admin.blueprint, url_prefix="/admin")
    return flask
