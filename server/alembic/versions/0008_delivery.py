"""What delivery by workers has to remember: holds, planned starts, accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("campaigns") as batch:
        batch.add_column(sa.Column("held_until", MOMENT, nullable=True))
        batch.add_column(sa.Column("hold_reason", sa.Text(), nullable=True))
        batch.add_column(sa.Column("holds", sa.Integer(), server_default="0", nullable=False))
    with op.batch_alter_table("campaign_versions") as batch:
        batch.add_column(sa.Column("account_id", sa.Uuid(), nullable=True))
        batch.add_column(sa.Column("starts_at", MOMENT, nullable=True))
        batch.create_index("ix_campaign_versions_account_id", ["account_id"])


def downgrade() -> None:
    with op.batch_alter_table("campaign_versions") as batch:
        batch.drop_index("ix_campaign_versions_account_id")
        batch.drop_column("starts_at")
        batch.drop_column("account_id")
    with op.batch_alter_table("campaigns") as batch:
        batch.drop_column("holds")
        batch.drop_column("hold_reason")
        batch.drop_column("held_until")
