"""A house with an upstream of ChatGPT accounts at the simulated backend, and accounts for it."""

import os
import time
from contextlib import contextmanager

from app.extensions import db
from app.services import catalog, codex_connect, upstreams
from app.upstreams.codex_account import Tokens
from tests import live

BACKEND = "/backend-api/codex"
MODEL, CROWD = "codex-1", "crowd-1"


@contextmanager
def open_codex(folder, provider, *, database="sqlite", **settings):
    """Start the house, whose upstreams have no accounts yet."""
    with (
        live.database(database, folder, f"realms_codex_{os.getpid()}") as url,
        live.open_house(folder, url, provider, codex_login_url=provider.url, **settings) as house,
    ):
        house.changed(lambda: furnish(house, provider))
        yield house


def furnish(house, provider):
    """Two upstreams: `codex`, and `crowd` for tests that bring accounts of their own."""
    for name, model in (("codex", "codex-*"), ("crowd", "crowd-*")):
        made = upstreams.create(
            name=name,
            kind="codex_oauth",
            base_url=provider.url + BACKEND,
            key=None,
            priority=10,
            weight=1,
            actor=None,
        )
        house.upstreams[name] = made.id
        catalog.import_models(made.id, {model: None}, actor=None)


def connect(house, provider, *emails, to="crowd", life=864_000.0, **change):
    """Connect accounts; `life` is what Realms is told of a token's, `expires_in` what the provider goes by."""
    told = [provider.control("POST", "codex", {"email": email} | change) for email in emails]
    now = time.time()
    sets = [Tokens(t["access_token"], t["refresh_token"], t["account_id"], now, now + life, "", "plus") for t in told]
    house.changed(lambda: [codex_connect.connect(house.upstreams[to], tokens, actor=None) for tokens in sets])
    return told


def forget(house, name="crowd"):
    """Take all accounts of an upstream away; seen by the server when the next are connected."""
    with house.app.app_context():
        for each in codex_connect.accounts(house.upstreams[name]):
            upstreams.delete_credential(each.credential_id, actor=None)
        db.session.remove()


def refreshes(provider):
    return provider.control("GET", "stats")["oauth_refreshes"]
