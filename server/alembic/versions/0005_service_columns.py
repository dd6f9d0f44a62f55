"""What the service keeps of tenants, people, campaigns, versions, jobs and attachments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("attachments") as batch:
        batch.add_column(
            sa.Column("is_personal", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        batch.create_index("ix_attachments_tenant_id_sha256", ["tenant_id", "sha256"], unique=False)

    with op.batch_alter_table("campaign_versions") as batch:
        batch.add_column(sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
        batch.add_column(
            sa.Column("is_confined", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        batch.add_column(sa.Column("source_columns", DOCUMENT, nullable=True))
        batch.add_column(sa.Column("edited_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("edited_by", sa.Text(), nullable=True))
        batch.add_column(sa.Column("author_ids", DOCUMENT, server_default="[]", nullable=False))

    with op.batch_alter_table("campaigns") as batch:
        batch.add_column(
            sa.Column(
                "approval",
                sa.Enum(
                    "none",
                    "required",
                    "two_person",
                    name="approval",
                    native_enum=False,
                    create_constraint=True,
                    length=20,
                ),
                nullable=True,
            )
        )
        batch.add_column(sa.Column("paused_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("paused_by", sa.Text(), nullable=True))
        batch.add_column(sa.Column("pause_reason", sa.Text(), nullable=True))
        batch.add_column(sa.Column("archived_at", MOMENT, nullable=True))

    with op.batch_alter_table("jobs") as batch:
        batch.add_column(sa.Column("source_row", DOCUMENT, nullable=True))

    with op.batch_alter_table("tenants") as batch:
        batch.add_column(
            sa.Column(
                "approval",
                sa.Enum(
                    "none",
                    "required",
                    "two_person",
                    name="approval",
                    native_enum=False,
                    create_constraint=True,
                    length=20,
                ),
                server_default="none",
                nullable=False,
            )
        )
        batch.add_column(
            sa.Column("jinja_allowed", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        batch.add_column(
            sa.Column("already_sent_days", sa.Integer(), server_default="30", nullable=False)
        )
        batch.add_column(sa.Column("quota_bytes", sa.BigInteger(), nullable=True))

    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("password_changed_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("totp_secret", sa.LargeBinary(), nullable=True))
        batch.add_column(sa.Column("totp_confirmed_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("totp_last_step", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("last_login_at", MOMENT, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("users") as batch:
        batch.drop_column("last_login_at")
        batch.drop_column("totp_last_step")
        batch.drop_column("totp_confirmed_at")
        batch.drop_column("totp_secret")
        batch.drop_column("password_changed_at")

    with op.batch_alter_table("tenants") as batch:
        batch.drop_column("quota_bytes")
        batch.drop_column("already_sent_days")
        batch.drop_column("jinja_allowed")
        batch.drop_column("approval")

    with op.batch_alter_table("jobs") as batch:
        batch.drop_column("source_row")

    with op.batch_alter_table("campaigns") as batch:
        batch.drop_column("archived_at")
        batch.drop_column("pause_reason")
        batch.drop_column("paused_by")
        batch.drop_column("paused_at")
        batch.drop_column("approval")

    with op.batch_alter_table("campaign_versions") as batch:
        batch.drop_column("author_ids")
        batch.drop_column("edited_by")
        batch.drop_column("edited_at")
        batch.drop_column("source_columns")
        batch.drop_column("is_confined")
        batch.drop_column("revision")

    with op.batch_alter_table("attachments") as batch:
        batch.drop_index("ix_attachments_tenant_id_sha256")
        batch.drop_column("is_personal")
