"""Where a configuration file has a proxy's login from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    reference = sa.Column("proxy_reference", sa.String(500), nullable=False, server_default=sa.text("''"))
    op.add_column("upstreams", reference)
