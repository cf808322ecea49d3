"""What workers tell of their calls under way while somebody looks, and the number by which they see that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0003"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")


def exact(length: int) -> sa.types.TypeEngine[str]:
    sized = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sized.with_variant(mysql.VARBINARY(4 * length), "mysql")


def upgrade() -> None:
    op.create_table(
        "running_calls",
        sa.Column("worker", exact(48), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("calls", sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql"), nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_running_calls")),
    )
    meta = sa.table("meta", sa.column("name", exact(64)), sa.column("value", sa.BigInteger))
    op.bulk_insert(meta, [{"name": "looked", "value": 0}])
