"""What must be right before the server binds: settings, and a database schema that is not behind.

``python -m app.start`` exits 78 (EX_CONFIG) and says what to mend when it isn't.
"""

from __future__ import annotations

import sys

from app import create_app, settings


def main() -> int:
    """Check, migrate where that is wanted, and tell an operator of a fresh house the way in."""
    code = settings.check()
    if code:
        return code
    from app.extensions import db
    from app.services import schema, setup
    from app.services.accounts import AccountError

    app = create_app()
    known = settings.load()
    with app.app_context():
        if known.migrate:
            schema.upgrade()
        elif schema.is_behind(db.engine):
            sys.stderr.write(
                "The database schema is behind: run `flask --app wsgi db upgrade`, or set REALMS_MIGRATE=1\n"
            )
            return settings.EXIT_CONFIG
        try:
            setup.create_configured_admin()
        except AccountError as error:
            sys.stderr.write(f"REALMS_ADMIN_EMAIL: {error}\n")
            return settings.EXIT_CONFIG
        if setup.is_open():
            sys.stdout.write(f"Set up your Realms: {setup.link()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
