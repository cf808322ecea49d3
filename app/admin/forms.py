"""The forms of administration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, IntegerField, SelectField, SelectMultipleField, TextAreaField
from wtforms.validators import InputRequired, Optional
from wtforms.widgets import CheckboxInput, ListWidget

from app.upstreams import UPSTREAMS
from app.upstreams.presets import PRESETS
from app.web.forms import Form, LineField, SecretField, offer, optional, required, too_long

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SECRET = {"autocomplete": "off", "spellcheck": "false", "data-1p-ignore": "true", "data-lpignore": "true"}
NEW_PASSWORD = {"autocomplete": "new-password"}
NO_SPELLING = {"spellcheck": "false", "autocapitalize": "none"}
JSON = {**NO_SPELLING, "class": "mono"}
KEY_LONGEST = 4000
LOGIN_LONGEST = 511
PROXY_EXAMPLE = "http://proxy.example:3128"


class NumberField(IntegerField):
    """A whole number that can't be left out."""

    data: int


def _number(label: Any, default: int) -> NumberField:
    return NumberField(label, [InputRequired(_l("Not a valid integer value."))], default=default)


class UpstreamForm(Form):
    """What can be changed of an upstream."""

    name = LineField(_l("Name"), required(100), render_kw={"placeholder": _l("for example: main")})
    base_url = LineField(_l("Base URL"), optional(500), render_kw={**NO_SPELLING, "inputmode": "url"})
    key = SecretField(_l("API key"), [too_long(KEY_LONGEST)], render_kw=SECRET)
    priority = _number(_l("Priority"), 0)
    weight = _number(_l("Weight"), 1)


class NewUpstreamForm(UpstreamForm):
    """A new upstream and its first credential."""

    proxy = LineField(_l("Proxy"), optional(300), render_kw={**NO_SPELLING, "placeholder": PROXY_EXAMPLE})
    proxy_login = SecretField(_l("User and password of the proxy"), [too_long(LOGIN_LONGEST)], render_kw=SECRET)
    preset = SelectField(_l("Start from"))
    kind = SelectField(_l("Kind"))
    no_key = BooleanField(_l("It wants no key"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer(self.preset, {"": _("nothing: the kind alone"), **{name: each.label for name, each in PRESETS.items()}})
        offer(self.kind, {kind: adapter.label for kind, adapter in UPSTREAMS.items()})

    @property
    def wanted_key(self) -> str | None:
        """The key, or None for an upstream that wants none."""
        return None if self.no_key.data else self.key.data or ""


class PastedForm(Form):
    """Where the browser ended after a sign-in."""

    pasted = LineField(_l("The address that the browser ended at"), required(4000), render_kw=SECRET)


class AuthJsonForm(Form):
    """An account that is signed in elsewhere already."""

    auth_json = TextAreaField(_l("The content of auth.json"), required(40_000), render_kw={**JSON, "rows": 8})


class PolicyForm(Form):
    """What is wanted otherwise at an upstream, and a request to try it with."""

    policy = TextAreaField(_l("Policy"), [too_long(20_000)], render_kw={**JSON, "rows": 12})
    proxy_login = SecretField(_l("User and password of the proxy"), [too_long(LOGIN_LONGEST)], render_kw=SECRET)
    no_proxy_login = BooleanField(_l("The proxy wants no login"))
    endpoint = SelectField(_l("Endpoint"))
    body = TextAreaField(_l("A request to try it with"), [too_long(20_000)], render_kw={**JSON, "rows": 5})

    def __init__(self, endpoints: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        offer(self.endpoint, endpoints)

    @property
    def wanted_login(self) -> str | None:
        """Who Realms is to the proxy: nobody if empty, None for whom it was."""
        return "" if self.no_proxy_login.data else self.proxy_login.data or None


class ExplainForm(Form):
    """What is to be explained; asked for in an address, so that it can be passed on."""

    class Meta(Form.Meta):
        """It changes nothing, so nobody can be tricked into sending it."""

        csrf = False

    model = LineField(_l("Model"), render_kw=NO_SPELLING)
    token = LineField(_l("Token (its number)"), render_kw={"inputmode": "numeric"})
    endpoint = LineField(_l("Endpoint"), render_kw={**NO_SPELLING, "placeholder": "chat.create"})
    conversation = LineField(_l("Conversation"), render_kw=NO_SPELLING)
    request_id = LineField(_l("Or the id of a request"), render_kw=NO_SPELLING, name="request")

    @property
    def words(self) -> str:
        """Everything that was refused, in one line."""
        told = [sentence for field in self for sentence in field.errors]
        return " ".join(map(str, [*told, *self.form_errors]))


class KeyForm(Form):
    """Another key for a credential."""

    key = SecretField(_l("API key"), required(KEY_LONGEST), render_kw=SECRET)


class CredentialForm(KeyForm):
    """One more credential."""

    name = LineField(_l("Name"), required(100), render_kw={"placeholder": _l("for example: second account")})


class PickForm(Form):
    """Models out of an upstream's list, and names that the list doesn't have."""

    everything = BooleanField()
    ticked = SelectMultipleField(
        _l("Models of its list"), widget=ListWidget(), option_widget=CheckboxInput(), validate_choice=False
    )
    others = TextAreaField(
        _l("Other names"), [too_long(20_000)], render_kw={**NO_SPELLING, "rows": 3, "placeholder": "gpt-5 = my-gpt-5"}
    )

    def __init__(self, models: Sequence[str]) -> None:
        super().__init__()
        offer(self.ticked, {name: name for name in models})
        self.everything.label.text = _("All %(count)d of them", count=len(models))

    def wanted(self, listed: Iterable[str]) -> dict[str, str | None]:
        """Return the names to serve, each with the upstream's own name where that differs."""
        names: dict[str, str | None] = dict.fromkeys(listed if self.everything.data else self.ticked.data or [])
        for line in (self.others.data or "").splitlines():
            public, _equals, theirs = (part.strip() for part in line.partition("="))
            if public:
                names[public] = theirs or None
        return names


class ModelForm(Form):
    """One model, by hand."""

    name = LineField(_l("Model"), required(200), render_kw={**NO_SPELLING, "placeholder": "gpt-5"})
    upstream = SelectField(_l("Upstream"), coerce=int)
    upstream_model = LineField(_l("Its name there"), optional(200), render_kw=NO_SPELLING)

    def __init__(self, upstreams: Mapping[int, str]) -> None:
        super().__init__()
        offer(self.upstream, upstreams)


class RenameForm(Form):
    """Another name for a model."""

    name = LineField(_l("Name"), required(200), render_kw=NO_SPELLING)


class RouteForm(Form):
    """How one upstream serves a model."""

    upstream_model = LineField(_l("Its name there"), optional(200), render_kw=NO_SPELLING)
    priority = IntegerField(_l("Priority"), [Optional()])
    weight = IntegerField(_l("Weight"), [Optional()])
    enabled = BooleanField(_l("Enabled"), default=True)


class NewRouteForm(RouteForm):
    """One more upstream for a model."""

    upstream = SelectField(_l("Upstream"), coerce=int)

    def __init__(self, upstreams: Mapping[int, str]) -> None:
        super().__init__()
        offer(self.upstream, upstreams)


class UserForm(Form):
    """What can be changed of a user."""

    name = LineField(_l("Name"), [too_long(100)], render_kw={"autocomplete": "off"})
    role = SelectField(_l("Role"), default="user")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer(self.role, {"user": _("user"), "admin": _("administrator")})


class NewUserForm(UserForm):
    """A new user with a first password."""

    email = LineField(
        _l("E-mail address"), required(254), render_kw={**NO_SPELLING, "type": "email", "autocomplete": "off"}
    )
    password = SecretField(_l("First password"), required(1024), render_kw=NEW_PASSWORD)


class ResetForm(Form):
    """Another password for somebody."""

    password = SecretField(_l("New password"), required(1024), render_kw=NEW_PASSWORD)


class InvitationForm(Form):
    """Who is invited, and as what."""

    email = LineField(_l("E-mail address"), required(254), render_kw={"type": "email", **NO_SPELLING})
    role = SelectField(_l("Role"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer(self.role, {"user": _("user"), "admin": _("administrator")})


class AnnouncementForm(Form):
    """A short notice."""

    text = LineField(_l("What everybody should know"), required(500))
    days = SelectField(_l("Shown"), coerce=int, default=7)

    def __init__(self) -> None:
        super().__init__()
        offer(self.days, {1: _("for a day"), 7: _("for a week"), 30: _("for a month"), 0: _("until it is deleted")})


class ChoicesForm(Form):
    """What may be chosen at run time."""

    token_days = _number(_l("Longest life of new tokens, in days"), 0)
    contact = LineField(_l("Whom to ask for help"), [too_long(200)])
    admins_second_factor = BooleanField(_l("Administrators must have a second factor"))
    registration = SelectField(_l("Who may make an account"))
    mail_domains = LineField(
        _l("Domains of addresses that may register"),
        [too_long(500)],
        render_kw={**NO_SPELLING, "placeholder": "example.com"},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = {
            "closed": _("nobody"),
            "invited": _("who is invited"),
            "open": _("whoever has an address in a domain below"),
        }
        offer(self.registration, known)

    @property
    def chosen(self) -> dict[str, Any]:
        """What was entered, by the names of choices."""
        return {name: value for name, value in self.data.items() if name != "csrf_token"}
