"""The shape of the database: whether it is this release's, and how it gets there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from sqlalchemy import Engine

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def is_behind(engine: Engine) -> bool:
    """Return whether migrations of this release are missing in the database.

    A database that a newer release has migrated is not behind: migrations only ever add.
    """
    with engine.connect() as connection:
        applied = MigrationContext.configure(connection).get_current_heads()
    script = ScriptDirectory.from_config(_config())
    known = {revision.revision for revision in script.walk_revisions()}
    if any(revision not in known for revision in applied):
        return False
    return set(applied) != set(script.get_heads())


def upgrade() -> None:
    """Migrate the current application's database to this release; wait for another process that is at it."""
    command.upgrade(_config(), "head")


def _config() -> Config:
    config = Config(MIGRATIONS / "alembic.ini")
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
