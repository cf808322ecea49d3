"""When objects were made, and by which numbers workers agree who asks for background responses that nobody reads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def exact(length: int) -> sa.types.TypeEngine[str]:
    sized = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sized.with_variant(mysql.VARBINARY(4 * length), "mysql")


def upgrade() -> None:
    op.create_index(op.f("ix_owned_objects_made"), "owned_objects", ["kind", "created_at"])
    meta = sa.table("meta", sa.column("name", exact(64)), sa.column("value", sa.BigInteger))
    op.bulk_insert(meta, [{"name": "pending_look", "value": 0}, {"name": "pending_seen", "value": 0}])
