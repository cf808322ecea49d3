"""The forms of the console."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import (
    BooleanField,
    DateField,
    HiddenField,
    RadioField,
    SelectField,
    SelectMultipleField,
    TextAreaField,
)
from wtforms.validators import EqualTo, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from app.web.forms import Form, LineField, SecretField, offer, optional, required, too_long
from app.web.limits import AmountsForm
from app.web.locale import LANGUAGES
from app.web.times import end_of, places

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

CURRENT = {"autocomplete": "current-password"}
CODE = {"autocomplete": "one-time-code", "autocapitalize": "none", "spellcheck": "false"}
NEW = {"autocomplete": "new-password"}
EMAIL = {"type": "email", "autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
SAME = EqualTo("password", _l("The two passwords differ."))
PASSWORD_LONGEST = 1024


class LoginForm(Form):
    """Who somebody says they are."""

    email = LineField(_l("E-mail address"), required(254), render_kw=EMAIL)
    password = SecretField(_l("Password"), required(PASSWORD_LONGEST), render_kw=CURRENT)


class SetupForm(Form):
    """The first administrator."""

    token = HiddenField()
    name = LineField(_l("Name"), [too_long(100)], render_kw={"autocomplete": "name"})
    email = LineField(_l("E-mail address"), required(254), render_kw=EMAIL)
    password = SecretField(_l("Password"), required(PASSWORD_LONGEST), render_kw=NEW)
    again = SecretField(_l("Password again"), [SAME], render_kw=NEW)


class ConfirmForm(Form):
    """The password, once more."""

    password = SecretField(_l("Password"), required(PASSWORD_LONGEST), render_kw=CURRENT)


class CodeForm(Form):
    """The second factor of a sign-in."""

    code = LineField(_l("Code"), required(100), render_kw=CODE)


class EnrolForm(CodeForm):
    """A second factor to be: ``once`` holds its sealed secret, so that a mistake doesn't change the picture."""

    once = HiddenField()
    password = SecretField(_l("Password"), required(PASSWORD_LONGEST), render_kw=CURRENT)


class FactorForm(CodeForm):
    """Password and code together, and what they are given for."""

    password = SecretField(_l("Password"), required(PASSWORD_LONGEST), render_kw=CURRENT)


class PasswordForm(Form):
    """Another password for oneself."""

    current = SecretField(_l("Present password"), required(PASSWORD_LONGEST), render_kw=CURRENT)
    new = SecretField(_l("New password"), required(PASSWORD_LONGEST), render_kw=NEW)
    again = SecretField(_l("New password again"), [EqualTo("new", _l("The two passwords differ."))], render_kw=NEW)


class LocaleForm(Form):
    """The language of one's pages."""

    locale = SelectField(_l("Language"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer(self.locale, {"": _("As the browser asks"), **LANGUAGES})


class TimeZoneForm(Form):
    """Where one's days begin."""

    time_zone = SelectField(_l("Time zone"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        grouped = {area: [(name, name) for name in names] for area, names in places().items()}
        self.time_zone.choices = {"UTC": [("UTC", "UTC")], **grouped}


class TokenForm(AmountsForm):
    """A new token. ``once`` holds its sealed secret-to-be, so that a form sent twice makes one token."""

    once = HiddenField()
    name = LineField(_l("Name"), required(100), render_kw={"placeholder": _l("for example: laptop")})
    expires_on = DateField(_l("Last day"), [Optional()])
    scope = RadioField(_l("Models"), default="all")
    models = SelectMultipleField(
        _l("Models it may use"), widget=ListWidget(), option_widget=CheckboxInput(), validate_choice=True
    )

    networks = TextAreaField(
        _l("IP ranges"), optional(2000), render_kw={"rows": 3, "spellcheck": "false", "placeholder": "10.0.0.0/8"}
    )

    def __init__(self, models: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        offer(self.scope, {"all": _("All models"), "some": _("Only these")})
        offer(self.models, {name: name for name in models})

    @property
    def expires_at(self) -> datetime | None:
        """The last second of the chosen day."""
        day = self.expires_on.data
        return end_of(day) - timedelta(seconds=1) if day else None

    @property
    def wanted_models(self) -> list[str] | None:
        """The ticked models; None for all of them."""
        return list(self.models.data or []) if self.scope.data == "some" else None

    @property
    def wanted_networks(self) -> list[str]:
        """The ranges, as entered: one on each line, or with commas between them."""
        return (self.networks.data or "").replace(",", "\n").split()


class RotateForm(Form):
    """How long the old secret goes on working beside the new one."""

    once = HiddenField()
    overlap = SelectField(_l("The old secret works for"), coerce=int, default=24)

    def __init__(self) -> None:
        super().__init__()
        offer(self.overlap, {1: _("one more hour"), 24: _("one more day"), 168: _("one more week"), 0: _("no longer")})


class RevokeForm(Form):
    """Whether what runs is ended too."""

    cut = BooleanField(_l("Also end its running calls"))


class AddressForm(Form):
    """Where to send a mail."""

    email = LineField(_l("E-mail address"), required(254), render_kw=EMAIL)


class JoinForm(Form):
    """Who has come by a one-time link; ``name`` is only asked of new users."""

    token = HiddenField()
    name = LineField(_l("Name"), [too_long(100)], render_kw={"autocomplete": "name"})
    password = SecretField(_l("New password"), required(PASSWORD_LONGEST), render_kw=NEW)
    again = SecretField(_l("New password again"), [SAME], render_kw=NEW)


class CheckForm(Form):
    """A token that somebody wants to know about."""

    token = SecretField(_l("Token"), required(200), render_kw={"autocomplete": "off", "spellcheck": "false"})
