"""Sums by the day beside those by the hour: weeks and months are told of few rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
KEY = ("user_id", "token_id", "model", "upstream_id")
SUMS = (
    "requests", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "cost_nanos", "unpriced", "total_ms",
)


def exact(length: int) -> sa.types.TypeEngine[str]:
    sized = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sized.with_variant(mysql.VARBINARY(4 * length), "mysql")


def upgrade() -> None:
    op.create_table(
        "daily_rollups",
        sa.Column("day", Moment, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("token_id", sa.BigInteger, nullable=False),
        sa.Column("model", exact(200), nullable=False),
        sa.Column("upstream_id", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint("day", *KEY, name=op.f("pk_daily_rollups")),
    )
    op.create_index("ix_daily_rollups_user", "daily_rollups", ["user_id", "day"])
    op.create_index("ix_daily_rollups_token", "daily_rollups", ["token_id", "day"])
    op.create_index("ix_daily_rollups_model", "daily_rollups", ["model", "day"])
    add_up()


def add_up() -> None:
    """Make the days of the hours that are there."""
    day = {
        "postgresql": "date_trunc('day', hour, 'UTC')",
        "sqlite": "strftime('%Y-%m-%d 00:00:00.000000', hour)",
    }.get(op.get_bind().dialect.name, "CAST(DATE(hour) AS DATETIME(6))")
    sums = ", ".join(f"SUM({name})" for name in SUMS)
    names, key = ", ".join(SUMS), ", ".join(KEY)
    op.execute(
        f"INSERT INTO daily_rollups (day, {key}, {names}) SELECT {day}, {key}, {sums} FROM rollups GROUP BY {day}, {key}"
    )
