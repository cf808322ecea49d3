"""Realms without limits and records, to tell what they cost; a benchmark's alone, for nobody else could want it."""

from wsgi import app  # noqa: I001 - it patches what everything else imports

from app.services.limits import NO_LIMITS


class _Nothing:
    """Admits everything and keeps nothing."""

    def acquire(self, *_: object) -> object:
        return NO_LIMITS

    def admit(self) -> None:
        pass

    open = settle = complete = acquire


_relay = app.extensions["realms.api"].relay
_relay._limits = _relay._ledger = _relay._tap._ledger = _Nothing()  # noqa: SLF001 - there is no switch, on purpose

__all__ = ["app"]
