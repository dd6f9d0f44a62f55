"""Campaigns and their versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_campaigns_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint(
            "tenant_id", "external_id", name=op.f("uq_campaigns_tenant_id_external_id")
        ),
    )

    op.create_table(
        "campaign_versions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("config_sha256", sa.String(length=64), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=True),
        sa.Column("source_filename", sa.Text(), nullable=True),
        sa.Column("source_base_path", sa.Text(), nullable=True),
        sa.Column(
            "workflow_state",
            sa.Enum(
                "editing",
                "under_review",
                "approved",
                "built",
                "queued",
                "sending",
                "completed",
                "cancelled",
                "archived",
                name="workflow_state",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("current_flow", sa.String(length=40), nullable=True),
        sa.Column("current_step", sa.String(length=40), nullable=True),
        sa.Column("is_complete", sa.Boolean(), nullable=False),
        sa.Column("editor_state", DOCUMENT, nullable=True),
        sa.Column("autosaved_at", MOMENT, nullable=True),
        sa.Column("published_at", MOMENT, nullable=True),
        sa.Column("locked_at", MOMENT, nullable=True),
        sa.Column("locked_by_user_id", sa.Uuid(), nullable=True),
        sa.Column("validated_at", MOMENT, nullable=True),
        sa.Column("validation_summary", DOCUMENT, nullable=True),
        sa.Column("built_at", MOMENT, nullable=True),
        sa.Column("build_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_campaign_versions_number_positive")),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_campaign_versions_campaign_id_campaigns"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["locked_by_user_id"],
            ["users.id"],
            name=op.f("fk_campaign_versions_locked_by_user_id_users"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_campaign_versions_tenant_id_tenants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_versions")),
        sa.UniqueConstraint(
            "campaign_id", "number", name=op.f("uq_campaign_versions_campaign_id_number")
        ),
    )
    op.create_index(
        "ix_campaign_versions_tenant_id_workflow_state",
        "campaign_versions",
        ["tenant_id", "workflow_state"],
    )


def downgrade() -> None:
    op.drop_table("campaign_versions")
    op.drop_table("campaigns")
