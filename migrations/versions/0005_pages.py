"""What pages need: where a token may be used, links that are used once, announcements, choices, calls to be ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Moment = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")


def exact(length: int) -> sa.types.TypeEngine[str]:
    sized = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sized.with_variant(mysql.VARBINARY(4 * length), "mysql")


def upgrade() -> None:
    op.add_column("tokens", sa.Column("networks", sa.Text))
    op.add_column("tokens", sa.Column("client", sa.String(100), nullable=False, server_default=sa.text("''")))
    op.add_column("users", sa.Column("read_announcement", sa.BigInteger, nullable=False, server_default=sa.text("0")))
    op.create_table(
        "links",
        sa.Column("digest", exact(64), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("user_id", BigId),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_links")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_links_user_id_users"), ondelete="CASCADE"),
    )
    op.create_table(
        "announcements",
        sa.Column("id", BigId, nullable=False),
        sa.Column("text", sa.String(500), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("ends_at", Moment),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_announcements")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "choices",
        sa.Column("name", exact(64), nullable=False),
        sa.Column("value", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_choices")),
    )
    op.create_table(
        "cuts",
        sa.Column("id", BigId, nullable=False),
        sa.Column("call_id", exact(32), nullable=False),
        sa.Column("token_id", BigId, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cuts")),
        sqlite_autoincrement=True,
    )
