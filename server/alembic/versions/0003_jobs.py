"""Jobs, their messages, issues and attachments, and every attempt."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("pointer", sa.Text(), nullable=False),
        sa.Column(
            "build_status",
            sa.Enum(
                "inactive",
                "excluded",
                "blocked",
                "needs_review",
                "warning",
                "ready",
                name="build_status",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column(
            "decision",
            sa.Enum(
                "accept",
                "exclude",
                name="decision",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=True,
        ),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column(
            "send_status",
            sa.Enum(
                "unqueued",
                "queued",
                "claimed",
                "committing",
                "sent",
                "deferred",
                "failed",
                "in_doubt",
                "cancelled",
                name="send_status",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="unqueued",
            nullable=False,
        ),
        sa.Column(
            "imap_status",
            sa.Enum(
                "not_requested",
                "pending",
                "appended",
                "failed",
                name="imap_status",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            server_default="not_requested",
            nullable=False,
        ),
        sa.Column("envelope_from", sa.Text(), nullable=True),
        sa.Column("recipients", DOCUMENT, nullable=False),
        sa.Column("to_display", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("needs_smtputf8", sa.Boolean(), nullable=False),
        sa.Column("message_date", MOMENT, nullable=True),
        sa.Column("size", ROW_NUMBER, nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("queued_at", MOMENT, nullable=True),
        sa.Column("first_claimed_at", MOMENT, nullable=True),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("attempt_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", ROW_NUMBER, server_default="0", nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("claimed_at", MOMENT, nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("last_code", sa.Integer(), nullable=True),
        sa.Column("last_reply", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("append_attempt_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("append_worker", sa.Text(), nullable=True),
        sa.Column("append_lease_until", MOMENT, nullable=True),
        sa.Column("appended_at", MOMENT, nullable=True),
        sa.Column("append_error", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["campaign_id"],
            ["campaigns.id"],
            name=op.f("fk_jobs_campaign_id_campaigns"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("fk_jobs_tenant_id_tenants")
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["campaign_versions.id"],
            name=op.f("fk_jobs_version_id_campaign_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("version_id", "entry_id", name=op.f("uq_jobs_version_id_entry_id")),
        sa.UniqueConstraint("version_id", "position", name=op.f("uq_jobs_version_id_position")),
    )
    op.create_index("ix_jobs_send_status_lease_until", "jobs", ["send_status", "lease_until"])
    op.create_index(
        "ix_jobs_tenant_id_campaign_id_entry_id", "jobs", ["tenant_id", "campaign_id", "entry_id"]
    )
    op.create_index("ix_jobs_version_id_build_status", "jobs", ["version_id", "build_status"])
    op.create_index("ix_jobs_version_id_imap_status", "jobs", ["version_id", "imap_status"])
    op.create_index(
        "ix_jobs_version_id_send_status_position", "jobs", ["version_id", "send_status", "position"]
    )

    op.create_table(
        "job_messages",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("frame", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_messages_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_messages")),
    )

    op.create_table(
        "issues",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=60), nullable=False),
        sa.Column(
            "severity",
            sa.Enum(
                "block",
                "exclude",
                "review",
                "warn",
                "ignore",
                name="severity",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("pointer", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_issues_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["campaign_versions.id"],
            name=op.f("fk_issues_version_id_campaign_versions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issues")),
    )
    op.create_index(op.f("ix_issues_job_id"), "issues", ["job_id"])
    op.create_index("ix_issues_version_id_position", "issues", ["version_id", "position"])

    op.create_table(
        "attachments",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", ROW_NUMBER, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("archive", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_attachments_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
        sa.UniqueConstraint("job_id", "position", name=op.f("uq_attachments_job_id_position")),
    )

    op.create_table(
        "send_attempts",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("fence", ROW_NUMBER, nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("claimed_at", MOMENT, nullable=False),
        sa.Column("data_started_at", MOMENT, nullable=True),
        sa.Column("replied_at", MOMENT, nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "accepted",
                "rejected",
                "deferred",
                "unknown",
                "abandoned",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=True,
        ),
        sa.Column(
            "stage",
            sa.Enum(
                "connect",
                "tls",
                "auth",
                "mail",
                "rcpt",
                "data",
                "dot",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=True,
        ),
        sa.Column("code", sa.Integer(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("recipient_replies", DOCUMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_send_attempts_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_send_attempts")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_send_attempts_job_id_number")),
    )

    op.create_table(
        "imap_append_attempts",
        sa.Column("id", ROW_NUMBER, autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "appended",
                "already_there",
                "failed",
                "unknown",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=20,
            ),
            nullable=True,
        ),
        sa.Column("folder", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
            name=op.f("fk_imap_append_attempts_job_id_jobs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imap_append_attempts")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_imap_append_attempts_job_id_number")),
    )


def downgrade() -> None:
    op.drop_table("imap_append_attempts")
    op.drop_table("send_attempts")
    op.drop_table("attachments")
    op.drop_table("issues")
    op.drop_table("job_messages")
    op.drop_table("jobs")
