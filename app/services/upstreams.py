"""Upstreams and their credentials. A secret goes in and is never shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete as delete_rows
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from app.extensions import db
from app.models import Credential, Route, Upstream
from app.services.addresses import normal_base_url
from app.services.changes import Change, change
from app.services.context import context
from app.services.fields import FieldError, choice, line, number
from app.services.policies import keep, starting, with_proxy
from app.services.probe import ProbeError, Step, listed, place_of
from app.services.vault import VaultError, origin_of
from app.services.wording import say as _
from app.upstreams import UPSTREAMS

if TYPE_CHECKING:
    from sqlalchemy import Select

    from app.models import User

PRIORITIES = (-1_000_000, 1_000_000)
WEIGHTS = (1, 1_000_000)
LAST4_FROM = 16
"""Of a shorter secret four characters would give away too much."""


class UpstreamError(FieldError):
    """Something about an upstream that can't be done as asked."""


def create(
    *,
    name: str,
    kind: str,
    base_url: str,
    key: str | None,
    priority: int,
    weight: int,
    actor: User | None,
    preset: str = "",
    credential: str | None = "default",
    proxy: str = "",
    proxy_login: str = "",
) -> Upstream:
    """Return a new upstream with one credential of this name (None: none); ``key`` None says that it wants no key.

    A kind that people sign in to begins without one: accounts are connected afterwards.

    A ``preset`` gives what is left empty, and the policy. Raises ``FieldError`` for the field that can't be used.
    """
    start = starting(preset, kind=kind, base_url=base_url, refuse=UpstreamError)
    choice(start.kind, field="kind", known=UPSTREAMS, refuse=UpstreamError)
    url = normal_base_url(start.base_url, refuse=UpstreamError)
    upstream = Upstream(kind=start.kind, base_url=url)
    keep(upstream, with_proxy(start.policy, proxy), proxy_login=proxy_login)
    _fill(upstream, name=name, priority=priority, weight=weight)
    signs_in = UPSTREAMS[start.kind].signs_in
    secret = "" if key is None or signs_in else _key(key)
    with change("upstream.create", f"upstream {upstream.name}", actor=actor) as told:
        _name_is_free(upstream)
        db.session.add(upstream)
        db.session.flush()
        if not signs_in and credential is not None:
            db.session.add(_sealed(Credential(upstream_id=upstream.id, name=credential), secret, url=url))
        told.after = _shown(upstream)
    return _loaded(upstream.id)


def update(
    upstream_id: int,
    *,
    name: str,
    base_url: str,
    priority: int,
    weight: int,
    actor: User | None,
    key: str | None = None,
) -> Upstream:
    """Return the upstream as changed; ``key`` None or empty keeps the key.

    A key is entered for one origin: with another one it must be entered again, becomes the first credential's, and
    the other credentials are disabled until theirs are replaced. Raises ``UpstreamError``.
    """
    secret = _key(key) if key else None
    with change("upstream.update", "upstream", actor=actor) as told:
        upstream = _named(told, upstream_id)
        _takes_keys(upstream, key)
        told.before = _shown(upstream)
        url = normal_base_url(base_url or UPSTREAMS[upstream.kind].default_base_url, refuse=UpstreamError)
        if origin_of(url) != origin_of(upstream.base_url):
            secret = _carry_over(upstream, secret)
        _fill(upstream, name=name, priority=priority, weight=weight)
        _name_is_free(upstream)
        upstream.base_url = url
        if secret is not None:
            _sealed(_first_credential(upstream), secret, url=url)
        told.after = _shown(upstream)
    return _loaded(upstream_id)


def set_enabled(upstream_id: int, *, enabled: bool, actor: User | None) -> Upstream:
    """Return the upstream, called from now on or left out. Raises ``UpstreamError`` when there is none such."""
    with change("upstream.enable" if enabled else "upstream.disable", "upstream", actor=actor) as told:
        _named(told, upstream_id).enabled = enabled
    return _loaded(upstream_id)


def delete(upstream_id: int, *, actor: User | None) -> None:
    """Forget the upstream, its credentials and its routes; objects stored there are answered as not found.

    Raises ``UpstreamError`` when there is none such.
    """
    with change("upstream.delete", "upstream", actor=actor) as told:
        told.before = _shown(_named(told, upstream_id))
        db.session.execute(delete_rows(Route).where(Route.upstream_id == upstream_id))
        db.session.execute(delete_rows(Credential).where(Credential.upstream_id == upstream_id))
        db.session.execute(delete_rows(Upstream).where(Upstream.id == upstream_id))


def add_credential(upstream_id: int, *, name: str, key: str | None, actor: User | None) -> Credential:
    """Return one more credential of the upstream; ``key`` None: it wants none. Raises ``UpstreamError``."""
    name = line(name, field="name", longest=100, refuse=UpstreamError)
    secret = "" if key is None else _key(key)
    with change("credential.create", "credential", actor=actor) as told:
        upstream = _named(told, upstream_id)
        _takes_keys(upstream, key)
        credential = _sealed(Credential(upstream_id=upstream.id, name=name), secret, url=upstream.base_url)
        db.session.add(credential)
        db.session.flush()
        told.target, told.after = f"credential {upstream.name}/{name}", _shown_credential(credential)
    return credential


def set_credential_enabled(credential_id: int, *, enabled: bool, actor: User | None) -> None:
    """Use the credential from now on, or leave it out. Raises ``UpstreamError`` when there is none such."""
    with change("credential.enable" if enabled else "credential.disable", "credential", actor=actor) as told:
        _credential(told, credential_id).enabled = enabled


def replace_credential(credential_id: int, *, key: str | None, actor: User | None) -> None:
    """Give the credential another key (None: none), for its upstream's present origin. Raises ``UpstreamError``."""
    secret = "" if key is None else _key(key)
    with change("credential.replace", "credential", actor=actor) as told:
        credential = _credential(told, credential_id)
        _takes_keys(credential.upstream, key)
        told.before = _shown_credential(credential)
        _sealed(credential, secret, url=credential.upstream.base_url)
        told.after = _shown_credential(credential)


def delete_credential(credential_id: int, *, actor: User | None) -> None:
    """Forget the credential; objects stored with it are answered as not found. Raises ``UpstreamError``."""
    with change("credential.delete", "credential", actor=actor) as told:
        told.before = _shown_credential(_credential(told, credential_id))
        db.session.execute(delete_rows(Credential).where(Credential.id == credential_id))


def list_all() -> list[Upstream]:
    """Return every upstream with its credentials, by name."""
    return list(db.session.scalars(_whole().order_by(Upstream.name)))


def get(upstream_id: int) -> Upstream | None:
    """Return the upstream with its credentials."""
    return db.session.scalar(_whole().where(Upstream.id == upstream_id))


def by_name(name: str) -> Upstream | None:
    """Return the upstream of this name with its credentials."""
    return db.session.scalar(_whole().where(Upstream.name == name))


def remote_models(upstream_id: int) -> list[str]:
    """Return the models that the upstream lists itself. Raises ``UpstreamError`` when it doesn't."""
    upstream = get(upstream_id)
    if upstream is None:
        raise _no_such()
    place = place_of(upstream)
    if isinstance(place, Step):
        raise UpstreamError("", place.detail)
    try:
        return listed(place)
    except ProbeError as error:
        raise UpstreamError("", str(error)) from None


def _carry_over(upstream: Upstream, secret: str | None) -> str | None:
    """Return the secret for another origin: what was entered, or an empty one for an upstream that wants no key."""
    if not upstream.credentials:
        return secret
    if UPSTREAMS[upstream.kind].signs_in:
        for credential in upstream.credentials:
            credential.enabled = False
        return None
    if secret is None and not all(_is_empty(each, upstream) for each in upstream.credentials):
        raise UpstreamError("key", _("Another address needs the key again: it was entered for the old one only."))
    for credential in upstream.credentials[1:]:
        credential.enabled = False
    return secret or ""


def _takes_keys(upstream: Upstream, key: str | None) -> None:
    if key and UPSTREAMS[upstream.kind].signs_in:
        raise UpstreamError("key", _("This kind of upstream has no keys: connect an account instead."))


def _is_empty(credential: Credential, upstream: Upstream) -> bool:
    try:
        return not context().vault.open(credential.sealed, origin=upstream.base_url)
    except VaultError:
        return False


def _first_credential(upstream: Upstream) -> Credential:
    if not upstream.credentials:
        upstream.credentials.append(Credential(name="default"))
    return upstream.credentials[0]


def _fill(upstream: Upstream, *, name: str, priority: int, weight: int) -> None:
    low, high = PRIORITIES
    upstream.name = line(name, field="name", longest=100, refuse=UpstreamError)
    upstream.priority = number(priority, field="priority", lowest=low, highest=high, refuse=UpstreamError)
    low, high = WEIGHTS
    upstream.weight = number(weight, field="weight", lowest=low, highest=high, refuse=UpstreamError)


def _name_is_free(upstream: Upstream) -> None:
    with db.session.no_autoflush:
        other = db.session.scalar(select(Upstream.id).where(Upstream.name == upstream.name))
    if other not in {None, upstream.id}:
        raise UpstreamError("name", _("Another upstream has this name."))


def _key(text: str) -> str:
    key = line(text, field="key", longest=4000, refuse=UpstreamError)
    if not key.isascii() or " " in key:
        raise UpstreamError("key", _("A key has no spaces and only ASCII characters."))
    return key


def _sealed(credential: Credential, secret: str, *, url: str) -> Credential:
    credential.sealed = context().vault.seal(secret, origin=url)
    credential.last4, credential.reference = secret[-4:] if len(secret) >= LAST4_FROM else "", ""
    return credential


def _whole() -> Select[Upstream]:
    return select(Upstream).options(selectinload(Upstream.credentials)).execution_options(populate_existing=True)


def _loaded(upstream_id: int) -> Upstream:
    upstream = get(upstream_id)
    if upstream is None:
        raise _no_such()
    return upstream


def _named(told: Change, upstream_id: int) -> Upstream:
    upstream = _loaded(upstream_id)
    told.target = f"upstream {upstream.name}"
    return upstream


def _credential(told: Change, credential_id: int) -> Credential:
    wanted = select(Credential).where(Credential.id == credential_id).options(selectinload(Credential.upstream))
    credential = db.session.scalar(wanted.execution_options(populate_existing=True))
    if credential is None:
        raise UpstreamError("", _("There is no such credential."))
    told.target = f"credential {credential.upstream.name}/{credential.name}"
    return credential


def _no_such() -> UpstreamError:
    return UpstreamError("", _("There is no such upstream."))


def _shown(upstream: Upstream) -> dict[str, object]:
    names = ("name", "kind", "base_url", "enabled", "priority", "weight")
    return {name: getattr(upstream, name) for name in names}


def _shown_credential(credential: Credential) -> dict[str, object]:
    return {"name": credential.name, "last4": credential.last4, "enabled": credential.enabled}
