"""Upstreams and their credentials, as a file tells them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import SecretStr

from app.services import policies, upstreams
from app.services.context import context
from app.services.declared.form import policy as readable_policy
from app.services.declared.kinds import Found, Kind, Putting
from app.services.declared.references import NONE, Reference, kept
from app.services.fields import FieldError
from app.services.proxies import NoWayError, proxy_to
from app.services.vault import VaultError
from app.upstreams import UPSTREAMS

if TYPE_CHECKING:
    from app.models import Credential, Upstream
    from app.services.declared.reading import Path, Row

ENABLED = {"enabled": True}


class Upstreams(Kind):
    """Provider endpoints."""

    shape = ("upstreams",)

    def found(self) -> Iterator[Found]:
        for upstream in upstreams.list_all():
            names = ("kind", "base_url", "enabled", "priority", "weight")
            told = {name: getattr(upstream, name) for name in names}
            told |= {"policy": _policy(upstream), "proxy_login": _login(upstream)}
            yield Found(("upstreams", upstream.name), told, upstream.declared)

    def put(self, putting: Putting) -> None:
        row, before = putting.row, putting.before
        if before is None:
            upstream = upstreams.create(
                name=putting.path[1],
                kind=putting.needed("kind"),
                base_url=row.get("base_url", ""),
                key=None,
                priority=row.get("priority", 0),
                weight=row.get("weight", 1),
                credential=None,
                actor=None,
            )
        else:
            upstream = upstream_at(putting.path)
            self._change(upstream, putting)
        if putting.differs("policy", "proxy_login"):
            self._set_policy(upstream, putting)
        if row.get("enabled", True) != (before or ENABLED)["enabled"]:
            upstreams.set_enabled(upstream.id, enabled=row["enabled"], actor=None)

    def normal(self, _path: Path, row: Row) -> Row:
        login = row.get("proxy_login")
        return row | {"proxy_login": None} if login and login.text == NONE else row

    def drop(self, path: Path) -> None:
        upstreams.delete(upstream_at(path).id, actor=None)

    def rows(self, path: Path) -> Iterable[Any]:
        return [upstream_at(path)]

    def _set_policy(self, upstream: Upstream, putting: Putting) -> None:
        """Save the policy, with the login that the file itself names; one that was kept is for its own proxy alone."""
        reference = putting.rows[putting.path].get("proxy_login")
        login = reference and reference.secret.get_secret_value()
        policies.save(
            upstream.id,
            msgspec.json.encode(putting.row.get("policy") or {}).decode(),
            actor=None,
            proxy_login=login,
        )
        if reference:
            upstream.proxy_reference = kept(reference)

    def _change(self, upstream: Upstream, putting: Putting) -> None:
        if putting.differs("kind"):
            raise FieldError("kind", "Another kind is another upstream: delete this one, or choose another name.")
        if putting.differs("base_url", "priority", "weight"):
            row = putting.row
            upstreams.update(
                upstream.id,
                name=upstream.name,
                base_url=row["base_url"],
                priority=row["priority"],
                weight=row["weight"],
                key=self._first_key(upstream, putting),
                actor=None,
            )

    def _first_key(self, upstream: Upstream, putting: Putting) -> str | None:
        """Return what the file says for the first credential: another address needs it."""
        first = next(iter(credentials_of(upstream)), None)
        told = putting.rows.get((*putting.path, "credentials", first), {}) if first is not None else {}
        return told["secret"].secret.get_secret_value() if "secret" in told else None


class Credentials(Kind):
    """Secrets that upstreams are called with. Accounts that people sign in to stand in no file."""

    shape = ("upstreams", "credentials")

    def __init__(self, rows: dict[Path, Row]) -> None:
        self._wanted = rows

    def found(self) -> Iterator[Found]:
        for upstream in upstreams.list_all():
            if UPSTREAMS[upstream.kind].signs_in:
                continue
            url = self._wanted.get(("upstreams", upstream.name), {}).get("base_url", upstream.base_url)
            for name, credential in credentials_of(upstream).items():
                told = {"secret": _reference(credential, origin=url), "enabled": credential.enabled}
                yield Found(("upstreams", upstream.name, "credentials", name), told, credential.declared)

    def put(self, putting: Putting) -> None:
        upstream, reference = upstream_at(putting.path), putting.needed("secret")
        if UPSTREAMS[upstream.kind].signs_in:
            raise FieldError("", "This kind of upstream has no keys: connect an account instead.")
        if putting.differs("secret"):
            self._set(upstream, putting.path[3], reference)
        enabled = putting.row.get("enabled", True)
        credential = credentials_of(upstream_at(putting.path))[putting.path[3]]
        if credential.enabled != enabled:
            upstreams.set_credential_enabled(credential.id, enabled=enabled, actor=None)

    def drop(self, path: Path) -> None:
        upstreams.delete_credential(credentials_of(upstream_at(path))[path[3]].id, actor=None)

    def rows(self, path: Path) -> Iterable[Any]:
        return [credentials_of(upstream_at(path))[path[3]]]

    def _set(self, upstream: Upstream, name: str, reference: Reference) -> None:
        key = (reference.secret or SecretStr("")).get_secret_value() or None
        credential = credentials_of(upstream).get(name)
        if credential is None:
            credential = upstreams.add_credential(upstream.id, name=name, key=key, actor=None)
        elif not reference.holds_the_same(_reference(credential, origin=upstream.base_url)):
            upstreams.replace_credential(credential.id, key=key, actor=None)
        credential.reference = kept(reference)


def upstream_at(path: Path) -> Upstream:
    """Return the upstream that a path leads to. Raises ``FieldError`` when it isn't there."""
    upstream = upstreams.by_name(path[1])
    if upstream is None:
        raise FieldError("", "There is no such upstream.")
    return upstream


def credentials_of(upstream: Upstream) -> dict[str, Credential]:
    """Return the credentials by name; of several with one name the later ones are numbered."""
    found: dict[str, Credential] = {}
    for credential in upstream.credentials:
        name, number = credential.name, 1
        while name in found:
            number += 1
            name = f"{credential.name} ({number})"
        found[name] = credential
    return found


def _reference(credential: Credential, *, origin: str) -> Reference:
    """Return where a credential has its secret from, with the secret; without one where it can't be opened."""
    try:
        secret = context().vault.open(credential.sealed, origin=origin)
    except VaultError:
        return Reference(credential.reference)
    return Reference(credential.reference or ("" if secret else NONE), SecretStr(secret))


def _login(upstream: Upstream) -> Reference | None:
    """Return where an upstream's row has the login of its proxy from; None where it has none."""
    if upstream.proxy_login is None:
        return None
    try:
        proxy = proxy_to(upstream, context().vault)
    except NoWayError:
        return Reference(upstream.proxy_reference)
    return Reference(upstream.proxy_reference, SecretStr(proxy.login)) if proxy else None


def _policy(upstream: Upstream) -> Any:
    try:
        return readable_policy(upstream.policy)
    except ValueError:
        return upstream.policy  # another release's: any that this one can read differs from it
