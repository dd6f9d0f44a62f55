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
        batch.add_column(sa.Column("content_sha256", sa.String(64), nullable=True))
        batch.add_column(
            sa.Column("search_text", sa.Text(), server_default=sa.text("''"), nullable=False)
        )
        batch.add_column(sa.Column("file_count", sa.Integer(), server_default="0", nullable=False))
        for name in ("build_status", "imap_status"):
            batch.drop_index(f"ix_jobs_version_id_{name}")
            batch.create_index(
                f"ix_jobs_version_id_{name}_position", ["version_id", name, "position"]
            )
        batch.create_index(
            "ix_jobs_version_id_decision_position",
            ["version_id", "decision", "position"],
            postgresql_where=sa.text("decision IS NOT NULL"),
            sqlite_where=sa.text("decision IS NOT NULL"),
        )
        batch.create_index(
            "ix_jobs_version_id_position_without_files",
            ["version_id", "position"],
            postgresql_where=sa.text("file_count = 0"),
            sqlite_where=sa.text("file_count = 0"),
        )
    op.execute(
        "UPDATE jobs SET search_text = lower(entry_id || ' ' || to_display || ' ' || subject), "
        "file_count = (SELECT count(*) FROM attachments WHERE attachments.job_id = jobs.id)"
    )
    # Pages need an order without ties.
    op.drop_index("ix_issues_version_id_position", "issues")
    op.create_index("ix_issues_version_id_position", "issues", ["version_id", "position", "id"])
    op.create_index(
        "ix_issues_version_id_code_position", "issues", ["version_id", "code", "position"]
    )

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
        batch.drop_constraint(op.f("ck_tenants_approval"), type_="check")
        batch.drop_column("approval")

    op.drop_index("ix_issues_version_id_position", "issues")
    op.create_index("ix_issues_version_id_position", "issues", ["version_id", "position"])
    op.drop_index("ix_issues_version_id_code_position", "issues")
    with op.batch_alter_table("jobs") as batch:
        batch.drop_index("ix_jobs_version_id_position_without_files")
        batch.drop_index("ix_jobs_version_id_decision_position")
        for name in ("build_status", "imap_status"):
            batch.drop_index(f"ix_jobs_version_id_{name}_position")
            batch.create_index(f"ix_jobs_version_id_{name}", ["version_id", name])
        batch.drop_column("file_count")
        batch.drop_column("search_text")
        batch.drop_column("content_sha256")
        batch.drop_column("source_row")

    with op.batch_alter_table("campaigns") as batch:
        batch.drop_column("archived_at")
        batch.drop_column("pause_reason")
        batch.drop_column("paused_by")
        batch.drop_column("paused_at")
        batch.drop_constraint(op.f("ck_campaigns_approval"), type_="check")
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
