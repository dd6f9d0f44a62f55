"""Who uploaded a file, whose uploads a build read, and which key of nobody made another."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("api_keys") as batch:
        batch.add_column(sa.Column("made_with", sa.Text(), nullable=True))
    with op.batch_alter_table("stored_files") as batch:
        batch.add_column(sa.Column("uploaded_by_id", sa.Text(), nullable=True))
    with op.batch_alter_table("campaign_versions") as batch:
        batch.add_column(sa.Column("uploader_ids", DOCUMENT, server_default="[]", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("campaign_versions") as batch:
        batch.drop_column("uploader_ids")
    with op.batch_alter_table("stored_files") as batch:
        batch.drop_column("uploaded_by_id")
    with op.batch_alter_table("api_keys") as batch:
        batch.drop_column("made_with")
