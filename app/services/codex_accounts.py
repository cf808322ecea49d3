"""ChatGPT accounts as calls need them: tokens renewed ahead of their end or when refused, and what each has left.

Renewals run in greenlets of their own: a client that leaves can't take the new token with it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import gevent
import msgspec
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.models.base import utcnow
from app.protocol.call import Place
from app.relay.egress import Egress, EgressError
from app.services import codex_lease
from app.services.codex_lease import Held, Leased, State
from app.services.directory import Directory
from app.services.vault import Vault, VaultError
from app.upstreams import codex_account, codex_quota
from app.upstreams.codex_account import Tokens, TokensError
from app.upstreams.codex_quota import Quota

KIND = "codex_oauth"
WAIT_S = 20.0
"""How long a call waits for a renewal, its own or another worker's."""
ASK_S = 8.0
ROUND_S = 2.0
STOP_S = 4.0
"""How long a worker that ends waits for renewals: less than what the server leaves it after the drain."""
KEEP_TRIES = 40
KEEP_S = 0.5
_AWAY = (SQLAlchemyError, OSError, VaultError)
log = structlog.get_logger()


class CodexAccounts:
    """One worker's view of them; the port ``relay.ports.Accounts``."""

    def __init__(self, engine: Engine, vault: Vault, directory: Directory, egress: Egress, *, token_url: str) -> None:
        self._engine = engine
        self._vault = vault
        self._directory = directory
        self._egress = egress
        self._token_url = token_url
        self._running: dict[int, gevent.Greenlet[..., None]] = {}
        self._quotas: dict[int, tuple[float, Quota]] = {}
        self._unwritten: set[int] = set()

    def start(self) -> None:
        """Begin to look after all accounts, in this worker's hub."""
        gevent.spawn(self._tend_for_ever)

    def stop(self) -> None:
        """Wait for the renewals under way, for a while: their answers would be lost, and the accounts with them."""
        gevent.joinall(list(self._running.values()), timeout=STOP_S)

    # -- what calls ask -----------------------------------------------------------------------------------------------
    def renew(self, place: Place) -> Place | None:
        """Return the place with a fresh secret after an upstream refused the present one; None where there is none."""
        known = self._present(place)
        if known is not None and known.secret != place.secret:
            return known
        self._renewal(place.credential_id, refused=place.secret).join(WAIT_S)
        known = self._present(place)
        return known if known is not None and known.secret != place.secret else None

    def observed(self, place: Place, headers: Mapping[str, str]) -> None:
        """Take in what the headers of an answer tell of the account's allowance."""
        now = utcnow().timestamp()
        quota = codex_quota.of_headers(headers, now=now)
        if quota is not None:
            _, known = self._quotas.get(place.credential_id, (0.0, Quota()))
            quota = msgspec.structs.replace(quota, credits=known.credits)
            self._quotas[place.credential_id] = (now, quota)
            self._unwritten.add(place.credential_id)

    def allowance(self, place: Place) -> float:
        """Return how willing the account is to take a new conversation, from 0 (none left) to 1 (all of it)."""
        known = self._quotas.get(place.credential_id)
        return codex_quota.UNKNOWN if known is None else known[1].willingness(utcnow().timestamp())

    def _present(self, place: Place) -> Place | None:
        upstream = self._directory.snapshot.upstreams.get(place.upstream_id)
        return upstream.places.get(place.credential_id) if upstream else None

    # -- renewing -----------------------------------------------------------------------------------------------------
    def _renewal(self, credential_id: int, *, refused: str | None = None) -> gevent.Greenlet[..., None]:
        """Return the renewal that is under way in this worker, begun now if there is none."""
        running = self._running.get(credential_id)
        if running is None:
            running = self._running[credential_id] = gevent.spawn(self._renew_once, credential_id, refused)
            running.link(lambda _: self._running.pop(credential_id, None))
        return running

    def _renew_once(self, credential_id: int, refused: str | None) -> None:
        """Renew, or wait for another worker that does; what came of it is in the snapshot afterwards."""
        until = time.monotonic() + WAIT_S
        try:
            while time.monotonic() < until:
                self._directory.refresh()
                if refused is not None and self._secret(credential_id) != refused:
                    return
                held = self._lease(credential_id, refused)
                if isinstance(held, Leased):
                    self._ask(held)
                if isinstance(held, Leased) or held.again_s is None:
                    self._directory.refresh()
                    return
                gevent.sleep(held.again_s)
        except _AWAY as error:
            log.error("codex_renewal_failed", credential=credential_id, error=type(error).__name__)

    def _secret(self, credential_id: int) -> str | None:
        for upstream in self._directory.snapshot.upstreams.values():
            if upstream.kind == KIND and credential_id in upstream.places:
                return upstream.places[credential_id].secret
        return None

    def _lease(self, credential_id: int, refused: str | None) -> Leased | Held:
        now = utcnow().timestamp()
        with self._engine.begin() as connection:
            return codex_lease.lease(
                connection, credential_id, refused=refused, now=now, vault=self._vault, token_url=self._token_url
            )

    def _ask(self, leased: Leased) -> None:
        """Ask for new tokens, once, and keep them before anybody uses them."""
        headers, body = codex_account.refresh_form(leased.before.refresh_token)
        try:
            answer = self._egress.fetch(
                "POST", self._token_url, headers=headers, body=body, timeout_s=ASK_S, proxy=leased.proxy
            )
        except EgressError as error:
            self._put_off(leased, reason=error.phase, asked=leased.doubtful or error.phase == "answer")
            return
        if codex_account.is_spent(answer.status, answer.body):
            self._end(leased)
            return
        try:
            if answer.status != 200:
                raise TokensError(f"status {answer.status}")
            tokens = codex_account.tokens_of(answer.body, now=utcnow().timestamp(), before=leased.before)
        except TokensError as error:
            self._put_off(leased, reason=str(error), asked=leased.doubtful or answer.status < 400)
            return
        self._keep(leased, tokens)

    def _keep(self, leased: Leased, tokens: Tokens) -> None:
        """Keep new tokens, however long the database takes within the lease: nobody can give them to us again."""
        for _ in range(KEEP_TRIES):
            try:
                with self._engine.begin() as connection:
                    codex_lease.keep(connection, leased, tokens, vault=self._vault, token_url=self._token_url)
            except _AWAY as error:
                log.error("codex_tokens_not_kept", credential=leased.credential_id, error=type(error).__name__)
                gevent.sleep(KEEP_S)
            else:
                log.info("codex_account_renewed", credential=leased.credential_id, upstream=leased.upstream_id)
                return

    def _put_off(self, leased: Leased, *, reason: str, asked: bool) -> None:
        log.warning("codex_renewal_failed", credential=leased.credential_id, error=reason)
        with self._engine.begin() as connection:
            codex_lease.put_off(connection, leased, now=utcnow().timestamp(), asked=asked)

    def _end(self, leased: Leased) -> None:
        state = State.LOST if leased.doubtful else State.REFUSED
        with self._engine.begin() as connection:
            ended = codex_lease.end(connection, leased, state)
        if ended:
            told = {"credential": leased.credential_id, "upstream": leased.upstream_id, "state": state.value}
            log.error("codex_account_needs_reconnect", **told)

    # -- in the background --------------------------------------------------------------------------------------------
    def _tend_for_ever(self) -> None:
        while True:
            gevent.sleep(ROUND_S)
            if any(entry.kind == KIND for entry in self._directory.snapshot.upstreams.values()):
                try:
                    self._tend()
                except _AWAY as error:
                    log.warning("codex_accounts_not_tended", error=type(error).__name__)

    def _tend(self) -> None:
        """Renew what is due, keep what was observed, and take in what other workers did."""
        with self._engine.begin() as connection:
            for credential_id in codex_lease.due(connection, utcnow().timestamp()):
                self._renewal(credential_id)
            while self._unwritten:
                credential_id = self._unwritten.pop()
                at, quota = self._quotas[credential_id]
                codex_lease.keep_quota(connection, credential_id, msgspec.to_builtins(quota), at)
            for row in codex_lease.quotas(connection):
                if row.quota and row.quota_at > self._quotas.get(row.credential_id, (0.0,))[0]:
                    self._quotas[row.credential_id] = (row.quota_at, msgspec.convert(row.quota, Quota))
