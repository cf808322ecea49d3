"""Which rows a configuration file made, and where it has secrets from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

DECLARABLE = ("announcements", "choices", "credentials", "limits", "models", "prices", "routes", "upstreams", "users")


def upgrade() -> None:
    for table in DECLARABLE:
        op.add_column(table, sa.Column("declared", sa.Boolean, nullable=False, server_default="0"))
    op.add_column("credentials", sa.Column("reference", sa.String(500), nullable=False, server_default=sa.text("''")))
