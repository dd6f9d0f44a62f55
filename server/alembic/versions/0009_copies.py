"""When copies are tried again, what holds them back, how often doubtful letters were looked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("campaigns") as batch:
        batch.add_column(sa.Column("append_held_until", MOMENT, nullable=True))
        batch.add_column(sa.Column("append_hold_reason", sa.Text(), nullable=True))
        batch.add_column(
            sa.Column("append_holds", sa.Integer(), server_default="0", nullable=False)
        )
    with op.batch_alter_table("jobs") as batch:
        batch.add_column(sa.Column("append_due_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("look_count", sa.Integer(), server_default="0", nullable=False))
        batch.add_column(sa.Column("looked_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("look_due_at", MOMENT, nullable=True))
        batch.create_index(
            "ix_jobs_campaign_id_append_due_at",
            ["campaign_id", "append_due_at"],
            postgresql_where=sa.text("imap_status = 'pending'"),
            sqlite_where=sa.text("imap_status = 'pending'"),
        )
        batch.create_index(
            "ix_jobs_append_worker",
            ["append_worker"],
            postgresql_where=sa.text("append_worker IS NOT NULL"),
            sqlite_where=sa.text("append_worker IS NOT NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("jobs") as batch:
        batch.drop_index("ix_jobs_append_worker")
        batch.drop_index("ix_jobs_campaign_id_append_due_at")
        for name in ("look_due_at", "looked_at", "look_count", "append_due_at"):
            batch.drop_column(name)
    with op.batch_alter_table("campaigns") as batch:
        for name in ("append_holds", "append_hold_reason", "append_held_until"):
            batch.drop_column(name)
