"""ChatGPT accounts, and sign-ins to them that wait."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0008"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Moment = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")


def exact(length: int) -> sa.types.TypeEngine[str]:
    sized = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sized.with_variant(mysql.VARBINARY(4 * length), "mysql")


def reference(of: str, column: str, table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{of}_{column}_{table}")
    return sa.ForeignKeyConstraint([column], [f"{table}.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "codex_accounts",
        sa.Column("credential_id", BigId, nullable=False, autoincrement=False),
        sa.Column("upstream_id", BigId, nullable=False),
        sa.Column("account_id", exact(100), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("plan", sa.String(40), nullable=False),
        sa.Column("refresh", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("ends_at", sa.Double, nullable=False),
        sa.Column("renew_at", sa.Double, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("leased_until", sa.Double, nullable=False),
        sa.Column("asked", sa.Boolean, nullable=False),
        sa.Column("tries", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("retry_at", sa.Double, nullable=False),
        sa.Column("quota", sa.Text),
        sa.Column("quota_at", sa.Double, nullable=False),
        reference("codex_accounts", "credential_id", "credentials"),
        reference("codex_accounts", "upstream_id", "upstreams"),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_codex_accounts")),
        sa.UniqueConstraint("upstream_id", "account_id", name="uq_codex_accounts_account"),
    )
    op.create_table(
        "codex_sign_ins",
        sa.Column("id", BigId, nullable=False),
        sa.Column("digest", exact(64), nullable=False),
        sa.Column("upstream_id", BigId, nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("verifier", sa.LargeBinary, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        reference("codex_sign_ins", "upstream_id", "upstreams"),
        reference("codex_sign_ins", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_codex_sign_ins")),
        sa.UniqueConstraint("digest", name=op.f("uq_codex_sign_ins_digest")),
    )
