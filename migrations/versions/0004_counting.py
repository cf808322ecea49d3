"""Costs, roll-ups, prices and limits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0001"
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Moment = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
SUMS = (
    "requests", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "cost_nanos", "unpriced", "total_ms",
)
LIMITS = (
    ("requests_minute", sa.Integer), ("tokens_minute", sa.BigInteger), ("concurrent", sa.Integer),
    ("money_day", sa.BigInteger), ("money_week", sa.BigInteger), ("money_month", sa.BigInteger),
    ("money_total", sa.BigInteger), ("money_conversation", sa.BigInteger),
)
NUMBERED = {"sqlite_autoincrement": True}


def exact(length: int) -> sa.types.TypeEngine[str]:
    sized = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sized.with_variant(mysql.VARBINARY(4 * length), "mysql")


def number() -> sa.Column[int]:
    return sa.Column("id", BigId, nullable=False)


def sums() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in SUMS]


def upgrade() -> None:
    records()
    totals()
    prices_and_limits()


def records() -> None:
    for name, kind in (
        ("first_content_ms", sa.Integer),
        ("audio_input_tokens", sa.BigInteger),
        ("audio_output_tokens", sa.BigInteger),
        ("web_searches", sa.Integer),
        ("cost_nanos", sa.BigInteger),
        ("price", sa.Text),
    ):
        op.add_column("records", sa.Column(name, kind))
    op.add_column("records", sa.Column("service_tier", sa.String(24), nullable=False, server_default=sa.text("''")))
    op.add_column("records", sa.Column("conversation", exact(32), nullable=False, server_default=sa.text("''")))
    # A token's page reads its newest records: by the moment too, which the index before could not.
    op.create_index("ix_records_token", "records", ["token_id", "at"])
    op.drop_index(op.f("ix_records_token_id"), "records")
    op.create_index("ix_records_conversation", "records", ["user_id", "conversation", "at"])


def totals() -> None:
    op.create_table(
        "rollups",
        sa.Column("hour", Moment, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("token_id", sa.BigInteger, nullable=False),
        sa.Column("model", exact(200), nullable=False),
        sa.Column("upstream_id", sa.BigInteger, nullable=False),
        *sums(),
        sa.PrimaryKeyConstraint("hour", "user_id", "token_id", "model", "upstream_id", name=op.f("pk_rollups")),
    )
    op.create_index("ix_rollups_user", "rollups", ["user_id", "hour"])
    op.create_index("ix_rollups_token", "rollups", ["token_id", "hour"])
    op.create_index("ix_rollups_model", "rollups", ["model", "hour"])
    op.create_table(
        "conversation_totals",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("key", exact(32), nullable=False),
        sa.Column("first_at", Moment, nullable=False),
        sa.Column("last_at", Moment, nullable=False),
        *sums(),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_conversation_totals")),
    )
    op.create_index("ix_conversation_totals_last", "conversation_totals", ["user_id", "last_at"])


def prices_and_limits() -> None:
    op.create_table(
        "prices",
        number(),
        sa.Column("model_id", BigId, nullable=False),
        sa.Column("valid_from", Moment, nullable=False),
        sa.Column("tariffs", sa.Text, nullable=False),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
        sa.UniqueConstraint("model_id", "valid_from", name=op.f("uq_prices_model_id")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_prices_model_id_models"), ondelete="CASCADE"),
        **NUMBERED,
    )
    op.create_table(
        "limits",
        number(),
        sa.Column("scope", exact(16), nullable=False),
        sa.Column("subject_id", sa.BigInteger, nullable=False),
        sa.Column("model", exact(200), nullable=False),
        *(sa.Column(name, kind) for name, kind in LIMITS),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limits")),
        sa.UniqueConstraint("scope", "subject_id", "model", name=op.f("uq_limits_scope")),
        **NUMBERED,
    )
