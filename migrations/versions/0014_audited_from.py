"""From where a change was made: a keyed hash of the address."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def exact(length: int) -> sa.types.TypeEngine[str]:
    sized = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sized.with_variant(mysql.VARBINARY(4 * length), "mysql")


def upgrade() -> None:
    op.add_column("audit_entries", sa.Column("peer", exact(12), nullable=False, server_default=sa.text("''")))
