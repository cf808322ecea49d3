"""How an upstream is called: by its policy, through the policy's proxy, with the login that is kept sealed for that."""

from __future__ import annotations

from typing import Any

import msgspec

from app.protocol import policy as policies
from app.protocol.policy import USUAL, Policy
from app.protocol.proxy import Proxy
from app.services.vault import Vault, VaultError


class NoWayError(VaultError):
    """An upstream that can't be called as its row says; it is to be called in no other way."""


def proxy_to(row: Any, vault: Vault) -> Proxy | None:
    """Return the proxy that everything about an upstream's row goes through. Raises ``NoWayError``."""
    return way_to(row, vault)[1]


def way_to(row: Any, vault: Vault) -> tuple[Policy, Proxy | None]:
    """Return policy and proxy of an upstream's row. Raises ``NoWayError`` for what this release or key can't read."""
    try:
        policy = USUAL if row.policy is None else msgspec.convert(row.policy, Policy)
        login = vault.open(row.proxy_login, origin=policy.proxy) if row.proxy_login and policy.proxy else ""
        return policy, policies.proxy_of(policy, login)
    except VaultError as error:
        raise NoWayError(f"the proxy's login: {error}") from None
    except (msgspec.ValidationError, ValueError) as error:
        raise NoWayError(f"the policy can't be used: {error}") from None
