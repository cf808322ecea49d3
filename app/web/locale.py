"""Which language a page speaks, and the catalogue it is read from.

Catalogues are read from their ``.po`` files at start, so that no compiled file has to be made, kept or shipped.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from flask import g, request
from flask_babel import Domain, get_locale

from app.extensions import babel
from app.web.people import person

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog
    from flask import Flask

LANGUAGES = {"en": "English", "zh_Hans": "简体中文"}
COOKIE = "realms_language"
FOLDER = Path(__file__).parents[2] / "translations"
FAMILIES = {"en": "en", "zh": "zh_Hans"}
"""Our language for what a browser's wish begins with; readers of any Chinese get ours rather than English."""


def init_app(app: Flask) -> None:
    """Choose a language for each request and load the catalogues."""
    babel.init_app(app, default_locale="en", locale_selector=choose)
    domain = Domain(domain="messages")
    for language in LANGUAGES:
        domain.cache[language, "messages"] = translations(language)
    babel.domain_instance = domain
    app.jinja_env.globals.update(languages=LANGUAGES, language=lambda: str(get_locale()))


def choose() -> str:
    """Return the language of the profile, else of the cookie, else the browser's best."""
    wanted = request.cookies.get(COOKIE)
    # A page about a failure must not ask the database that may have failed.
    if not g.get("failed") and person().is_authenticated:
        wanted = person().user.locale or wanted
    if wanted in LANGUAGES:
        return str(wanted)
    families = (tag.partition("-")[0].lower() for tag, quality in request.accept_languages if quality > 0)
    return next((FAMILIES[family] for family in families if family in FAMILIES), "en")


def catalogue(language: str) -> Catalog:
    """Return the messages of ``language`` as written in its ``.po`` file."""
    with (FOLDER / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


@cache
def translations(language: str) -> Translations:
    """Return the catalogue of ``language`` ready for use; English speaks the message ids themselves."""
    if language == "en":
        return Translations()
    compiled = BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    return Translations(compiled)
