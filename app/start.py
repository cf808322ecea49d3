"""What must be right before the server binds: settings, a free address, a database schema that is not behind.

``python -m app.start [HOST:PORT …]`` exits 78 (EX_CONFIG) and says what to mend when it isn't.
"""

from __future__ import annotations

import errno
import socket
import sys
import tempfile
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from app import create_app, settings
from app.extensions import db
from app.services import leaving, metrics, resealing, schema, setup
from app.services.accounts import AccountError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(addresses: Sequence[str] = ()) -> int:
    """Check, migrate where that is wanted, and tell an operator of a fresh house the way in."""
    code = settings.check()
    if code:
        return code
    problem = next(filter(None, map(occupied, addresses)), None) or _unkept() or _unprepared()
    if problem:
        sys.stderr.write(f"Realms can't start: {problem}\n")
        return settings.EXIT_CONFIG
    return 0


def occupied(address: str) -> str | None:
    """Return why nothing can listen at ``address``, or None when something can."""
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return f"it can't listen at {address}: {error.strerror}. Set REALMS_BIND."
            return f"{address} is taken. Stop what listens there, or choose another: REALMS_BIND={host}:{_next(port)}"
    return None


def _next(port: str) -> int:
    return int(port) % 65_535 + 1


def _unkept() -> str | None:
    """Return why nothing can be kept in the data directory, the journal first of all, or None."""
    folder = settings.load().data_dir.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"{folder} can't be written to: {error.strerror}. Let this user write there, or set REALMS_DATA_DIR."


def _unprepared() -> str | None:
    """Return what is wrong with the database or the administrator that the settings name, or None."""
    try:
        app = create_app()
        leaving.end(settings.load().data_dir)
        metrics.forget(settings.load().data_dir / metrics.FOLDER)
        with app.app_context():
            problem = _behind() or _without_admin()
            if problem is None:
                _warn_of_secrets()
            return problem
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        return f"the database can't be used: {getattr(error, 'orig', error)}. Start it, or mend REALMS_DATABASE_URL."


def _behind() -> str | None:
    if settings.load().migrate:
        schema.upgrade()
    elif schema.is_behind(db.engine):
        return "the database schema is behind. Run: flask --app wsgi db upgrade (or set REALMS_MIGRATE=1)"
    return None


def _without_admin() -> str | None:
    try:
        setup.create_configured_admin()
    except AccountError as error:
        return f"REALMS_ADMIN_EMAIL: {error}"
    if setup.is_open():
        sys.stdout.write(f"Set up your Realms: {setup.link()}\n")
    return None


def _warn_of_secrets() -> None:
    """Tell of secrets that can't be used, as after a backup came back beside other vault keys; the rest is served."""
    count, unopened = resealing.unopened()
    if unopened:
        sys.stderr.write(
            f"warning: REALMS_VAULT_KEYS opens {count - len(unopened)} of {count} secrets, not {', '.join(unopened)}: "
            "what needs them can't be used. Set the keys as they were, or enter these secrets again.\n"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
