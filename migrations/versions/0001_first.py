"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Moment = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")

# Without AUTOINCREMENT SQLite gives a deleted row's number to the next one, and what still names the old row (an owned
# object, a record, an audit entry) would name the new one.
NUMBERED = {"sqlite_autoincrement": True}


def exact(length: int) -> sa.types.TypeEngine[str]:
    sized = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return sized.with_variant(mysql.VARBINARY(4 * length), "mysql")


def number() -> sa.Column[int]:
    return sa.Column("id", BigId, nullable=False)


def upgrade() -> None:
    people()
    upstreams()
    catalogue()
    objects()
    records()
    bookkeeping()


def people() -> None:
    op.create_table(
        "users",
        number(),
        sa.Column("email", exact(254), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("locale", sa.String(16)),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("disabled_at", Moment),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        **NUMBERED,
    )
    op.create_table(
        "sign_ins",
        sa.Column("digest", exact(64), nullable=False),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("seen_at", Moment, nullable=False),
        sa.Column("confirmed_at", Moment, nullable=False),
        sa.Column("user_agent", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_ins")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sign_ins_user_id_users"), ondelete="CASCADE"),
    )
    op.create_index(op.f("ix_sign_ins_user_id"), "sign_ins", ["user_id"])
    op.create_table(
        "tokens",
        number(),
        sa.Column("user_id", BigId, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("digest", exact(64), nullable=False),
        sa.Column("last4", sa.String(4), nullable=False),
        sa.Column("models", sa.Text),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment),
        sa.Column("revoked_at", Moment),
        sa.Column("used_at", Moment),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id_users"), ondelete="CASCADE"),
        **NUMBERED,
    )
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"])


def upstreams() -> None:
    op.create_table(
        "upstreams",
        number(),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("base_url", sa.String(500), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upstreams")),
        sa.UniqueConstraint("name", name=op.f("uq_upstreams_name")),
        **NUMBERED,
    )
    op.create_table(
        "credentials",
        number(),
        sa.Column("upstream_id", BigId, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("last4", sa.String(4), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credentials")),
        sa.ForeignKeyConstraint(
            ["upstream_id"],
            ["upstreams.id"],
            name=op.f("fk_credentials_upstream_id_upstreams"),
            ondelete="CASCADE",
        ),
        **NUMBERED,
    )
    op.create_index(op.f("ix_credentials_upstream_id"), "credentials", ["upstream_id"])


def catalogue() -> None:
    op.create_table(
        "models",
        number(),
        sa.Column("name", exact(200), nullable=False),
        sa.Column("owned_by", sa.String(100), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("name", name=op.f("uq_models_name")),
        **NUMBERED,
    )
    op.create_table(
        "routes",
        number(),
        sa.Column("model_id", BigId, nullable=False),
        sa.Column("upstream_id", BigId, nullable=False),
        sa.Column("upstream_model", exact(200)),
        sa.Column("priority", sa.Integer),
        sa.Column("weight", sa.Integer),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routes")),
        sa.UniqueConstraint("model_id", "upstream_id", name=op.f("uq_routes_model_id")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_routes_model_id_models"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["upstream_id"], ["upstreams.id"], name=op.f("fk_routes_upstream_id_upstreams"), ondelete="CASCADE"
        ),
        **NUMBERED,
    )
    op.create_index(op.f("ix_routes_upstream_id"), "routes", ["upstream_id"])


def objects() -> None:
    op.create_table(
        "owned_objects",
        number(),
        sa.Column("upstream_id", sa.BigInteger, nullable=False),
        sa.Column("credential_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("object_id", exact(512), nullable=False),
        sa.Column("user_id", BigId),
        sa.Column("model", exact(200), nullable=False),
        sa.Column("call_id", exact(32), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("deleted_at", Moment),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owned_objects")),
        sa.UniqueConstraint("upstream_id", "kind", "object_id", name=op.f("uq_owned_objects_upstream_id")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_owned_objects_user_id_users"), ondelete="SET NULL"
        ),
        **NUMBERED,
    )
    op.create_index("ix_owned_objects_owner", "owned_objects", ["user_id", "kind", "object_id"])
    op.create_index("ix_owned_objects_listing", "owned_objects", ["user_id", "kind", "id"])


def records() -> None:
    op.create_table(
        "records",
        sa.Column("id", exact(32), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("request_id", exact(64), nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("token_id", sa.BigInteger, nullable=False),
        sa.Column("endpoint", sa.String(40), nullable=False),
        sa.Column("protocol", sa.String(16), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("upstream_model", sa.String(200), nullable=False),
        sa.Column("upstream_id", sa.BigInteger),
        sa.Column("credential_id", sa.BigInteger),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("end", sa.String(24), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("first_byte_ms", sa.Integer),
        sa.Column("total_ms", sa.Integer, nullable=False),
        sa.Column("bytes_in", sa.BigInteger, nullable=False),
        sa.Column("bytes_out", sa.BigInteger, nullable=False),
        sa.Column("usage_state", sa.String(16), nullable=False),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("cache_read_tokens", sa.BigInteger),
        sa.Column("cache_write_5m_tokens", sa.BigInteger),
        sa.Column("cache_write_1h_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("usage_raw", sa.Text),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
    )
    op.create_index("ix_records_user", "records", ["user_id", "at"])
    op.create_index("ix_records_at", "records", ["at"])
    op.create_index("ix_records_request_id", "records", ["request_id"])
    op.create_index(op.f("ix_records_token_id"), "records", ["token_id"])
    op.create_table(
        "attempts",
        sa.Column("record_id", exact(32), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("upstream_id", sa.BigInteger, nullable=False),
        sa.Column("credential_id", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.String(200), nullable=False),
        sa.Column("first_byte_ms", sa.Integer),
        sa.Column("total_ms", sa.Integer, nullable=False),
        sa.Column("upstream_request_id", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("record_id", "n", name=op.f("pk_attempts")),
    )


def bookkeeping() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("name", exact(64), nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.bulk_insert(meta, [{"name": "generation", "value": 1}])
    op.create_table(
        "audit_entries",
        number(),
        sa.Column("at", Moment, nullable=False),
        sa.Column("actor_id", sa.BigInteger),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        **NUMBERED,
    )
    op.create_index(op.f("ix_audit_entries_at"), "audit_entries", ["at"])
