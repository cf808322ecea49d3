"""What names the count of a limit, and which tokens are one line: their limits are counted together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    short = sa.String(16).with_variant(sa.String(16, collation="C"), "postgresql")
    short = short.with_variant(mysql.VARBINARY(64), "mysql")
    op.add_column("limits", sa.Column("counted_as", short, nullable=False, server_default=sa.text("''")))
    op.add_column("tokens", sa.Column("line", sa.BigInteger))
    op.create_index(op.f("ix_tokens_line"), "tokens", ["line"])
