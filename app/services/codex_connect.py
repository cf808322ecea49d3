"""Connects ChatGPT accounts to upstreams: by a sign-in whose outcome is pasted, or by tokens that exist already."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, select, update

from app.extensions import db
from app.models import CodexAccount, CodexSignIn, Credential, Upstream
from app.models.base import utcnow
from app.relay.egress import EgressError
from app.services import codex_lease
from app.services.changes import change
from app.services.codex_lease import State
from app.services.context import context
from app.services.fields import FieldError
from app.services.proxies import NoWayError, proxy_to
from app.services.vault import VaultError
from app.services.wording import say as _
from app.upstreams import UPSTREAMS, codex_account, codex_oauth, codex_quota
from app.upstreams.codex_account import Pass, Tokens, TokensError
from app.upstreams.codex_quota import Quota, Window

if TYPE_CHECKING:
    from app.models import User

PENDING_FOR = timedelta(minutes=30)


class CodexError(FieldError):
    """Something about an account that can't be done as asked."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An account as administrators see it."""

    credential_id: int
    email: str
    plan: str
    state: State
    enabled: bool
    ends_at: datetime
    quota: Quota
    quota_at: datetime | None

    @property
    def windows(self) -> list[tuple[str, float, datetime]]:
        """Name, percent used and reset of each window that is known."""
        named = (("short", self.quota.short), ("long", self.quota.long))
        return [(name, each.used, _moment(each.resets_at)) for name, each in named if isinstance(each, Window)]


def start(upstream_id: int, *, actor: User) -> str:
    """Return the page to sign in at; what it leads to is good for half an hour, for this administrator, once."""
    upstream = _upstream(upstream_id)
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    db.session.execute(delete(CodexSignIn).where(CodexSignIn.created_at < utcnow() - PENDING_FOR))
    sealed = context().vault.seal(verifier, origin=_token_url())
    db.session.add(CodexSignIn(digest=_digest(state), upstream_id=upstream.id, user_id=actor.id, verifier=sealed))
    db.session.commit()
    return codex_account.authorize_url(context().settings.codex_login_url, state=state, verifier=verifier)


def finish(upstream_id: int, text: str, *, actor: User) -> None:
    """Connect the account of a sign-in by the address that its browser ended at. Raises ``CodexError``."""
    code, state = codex_account.pasted(text)
    if not code or not state:
        raise CodexError("pasted", _("Paste the whole address that the browser ended at; it has a code and a state."))
    try:
        proxy = proxy_to(_upstream(upstream_id), context().vault)
        headers, body = codex_account.code_form(code, _taken(upstream_id, state, actor))
        answer = context().egress.fetch("POST", _token_url(), headers=headers, body=body, proxy=proxy)
        if answer.status != 200:
            raise CodexError("pasted", _("The provider refuses this sign-in (%(status)d).", status=answer.status))
        tokens = codex_account.tokens_of(answer.body, now=utcnow().timestamp())
    except (EgressError, NoWayError) as error:
        raise CodexError("pasted", _("The provider can't be reached: %(error)s.", error=str(error))) from None
    except TokensError as error:
        raise CodexError("pasted", _("The provider's answer can't be used: %(error)s.", error=str(error))) from None
    connect(upstream_id, tokens, actor=actor)


def read_file(text: str) -> Tokens:
    """Read the Codex CLI's ``auth.json``, or a set of tokens alone. Raises ``CodexError``."""
    try:
        return codex_account.tokens_of_file(text, now=utcnow().timestamp())
    except (TokensError, UnicodeError) as error:
        raise CodexError("auth_json", _("This is no auth.json: %(error)s.", error=str(error))) from None


def connect(upstream_id: int, tokens: Tokens, *, actor: User | None) -> None:
    """Let an upstream be called with an account; one that it has already gets the new tokens. Raises ``CodexError``."""
    vault = context().vault
    values = codex_lease.token_values(tokens, vault=vault, token_url=_token_url())
    with change("codex.connect", "account", actor=actor) as told:
        upstream = _upstream(upstream_id)
        sealed = vault.seal(str(Pass(tokens.account_id, tokens.access_token)), origin=upstream.base_url)
        mine = (CodexAccount.upstream_id == upstream.id, CodexAccount.account_id == tokens.account_id)
        known = db.session.scalar(select(CodexAccount.credential_id).where(*mine))
        told.target = f"upstream {upstream.name}"
        told.after = {"email": tokens.email, "plan": tokens.plan, "again": known is not None}
        if known is None:
            credential = Credential(upstream_id=upstream.id, name=(tokens.email or "account")[:100], sealed=sealed)
            db.session.add(credential)
            db.session.flush()
            row = {"credential_id": credential.id, "upstream_id": upstream.id, "account_id": tokens.account_id}
            db.session.add(CodexAccount(**row, **values))
        else:
            owned = update(Credential).where(Credential.id == known)
            db.session.execute(owned.values(sealed=sealed, enabled=True))
            renewed = update(CodexAccount).where(CodexAccount.credential_id == known)
            db.session.execute(renewed.values(turn=CodexAccount.turn + 1, **values))


def accounts(upstream_id: int) -> list[Shown]:
    """Return an upstream's accounts, by address."""
    wanted = (
        select(CodexAccount, Credential.enabled)
        .join(Credential, Credential.id == CodexAccount.credential_id)
        .where(CodexAccount.upstream_id == upstream_id)
        .order_by(CodexAccount.email, CodexAccount.credential_id)
        .execution_options(populate_existing=True)
    )
    return [_shown(account, enabled=enabled) for account, enabled in db.session.execute(wanted)]


def ask_quota(upstream_id: int, credential_id: int) -> None:
    """Ask the provider how much of an account's allowance is used, and keep it. Raises ``CodexError``."""
    upstream = _upstream(upstream_id)
    credential = db.session.get(Credential, credential_id)
    if credential is None or credential.upstream_id != upstream.id:
        raise CodexError("", _("There is no such credential."))
    try:
        known = Pass.read(context().vault.open(credential.sealed, origin=upstream.base_url))
        proxy = proxy_to(upstream, context().vault)
        url = codex_oauth.usage_url(upstream.base_url)
        answer = context().egress.fetch("GET", url, headers=known.headers, proxy=proxy)
        if answer.status != 200:
            raise CodexError("", _("The provider answered %(status)d.", status=answer.status))
        now = utcnow().timestamp()
        quota = codex_quota.of_usage(answer.body, now=now)
    except (EgressError, VaultError, ValueError) as error:
        raise CodexError("", _("The allowance can't be read: %(error)s.", error=str(error))) from None
    codex_lease.keep_quota(db.session.connection(), credential_id, msgspec.to_builtins(quota), now)
    db.session.commit()


def _taken(upstream_id: int, state: str, actor: User) -> str:
    """Take a pending sign-in away, so that nobody can end it again, and return what its code is redeemed with."""
    mine = (CodexSignIn.digest == _digest(state), CodexSignIn.user_id == actor.id)
    alive = (CodexSignIn.upstream_id == upstream_id, CodexSignIn.created_at > utcnow() - PENDING_FOR)
    row = db.session.scalar(select(CodexSignIn).where(*mine, *alive))
    taken: Any = row and db.session.execute(delete(CodexSignIn).where(CodexSignIn.id == row.id))
    db.session.commit()
    if row is None or taken.rowcount != 1:
        raise CodexError("pasted", _("This sign-in is not yours, is over half an hour old, or was used. Begin again."))
    return context().vault.open(row.verifier, origin=_token_url())


def _shown(account: CodexAccount, *, enabled: bool) -> Shown:
    quota = msgspec.convert(account.quota or {}, Quota)
    at = _moment(account.quota_at) if account.quota_at else None
    return Shown(
        account.credential_id,
        account.email,
        account.plan,
        State(account.state),
        enabled,
        _moment(account.ends_at),
        quota,
        at,
    )


def _upstream(upstream_id: int) -> Upstream:
    upstream = db.session.get(Upstream, upstream_id)
    if upstream is None or not UPSTREAMS[upstream.kind].signs_in:
        raise CodexError("", _("There is no such upstream."))
    return upstream


def _token_url() -> str:
    return codex_account.token_url(context().settings.codex_login_url)


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
