"""Jobs: one message each, its frozen bytes, and what was found and attached while it was built.

The children of a job carry its tenant without a foreign key of their own: the job's holds it, and
these tables have many rows.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, OfTenant, RowKey, RowNumber, UuidKey, status_type
from app.mailer.domain.delivery.job import Decision, ImapStatus, SendStatus
from app.mailer.domain.issues import EntryState, Severity


class Job(OfTenant, Base):
    """One entry of a version and, where it could be built, its message.

    Three axes that do not mix: `build_status`, `send_status`, `imap_status`. What the
    message is made of (`envelope_from` to `sha256`) is absent where it could not be built. `fence`
    grows with each claim; a worker whose fence is outdated may not commit.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("version_id", "position"),
        UniqueConstraint("version_id", "entry_id"),
        Index("ix_jobs_version_id_send_status_position", "version_id", "send_status", "position"),
        Index("ix_jobs_tenant_id_campaign_id_entry_id", "tenant_id", "campaign_id", "entry_id"),
        Index("ix_jobs_send_status_lease_until", "send_status", "lease_until"),
        # With the position, so that a filtered page is read in order and no further than it goes.
        Index("ix_jobs_version_id_build_status_position", "version_id", "build_status", "position"),
        Index("ix_jobs_version_id_imap_status_position", "version_id", "imap_status", "position"),
        Index(
            "ix_jobs_version_id_decision_position",
            "version_id",
            "decision",
            "position",
            # Few have one, and the others shall not pay for it at each move.
            postgresql_where=text("decision IS NOT NULL"),
            sqlite_where=text("decision IS NOT NULL"),
        ),
        Index(
            "ix_jobs_version_id_position_without_files",
            "version_id",
            "position",
            postgresql_where=text("file_count = 0"),
            sqlite_where=text("file_count = 0"),
        ),
        # What waits to be filed, of all versions; letters of which no copy is wanted do not pay.
        Index(
            "ix_jobs_campaign_id_append_due_at",
            "campaign_id",
            "append_due_at",
            postgresql_where=text("imap_status = 'pending'"),
            sqlite_where=text("imap_status = 'pending'"),
        ),
        # Of a dead worker's copies, which few have in hand at any time.
        Index(
            "ix_jobs_append_worker",
            "append_worker",
            postgresql_where=text("append_worker IS NOT NULL"),
            sqlite_where=text("append_worker IS NOT NULL"),
        ),
    )

    id: Mapped[UuidKey]
    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    version_id: Mapped[UUID] = mapped_column(ForeignKey("campaign_versions.id", ondelete="CASCADE"))
    position: Mapped[int]
    entry_id: Mapped[str]
    pointer: Mapped[str]

    build_status: Mapped[EntryState] = mapped_column(status_type(EntryState, "build_status"))
    decision: Mapped[Decision | None] = mapped_column(status_type(Decision, "decision"))
    decision_reason: Mapped[str | None]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]

    send_status: Mapped[SendStatus] = mapped_column(
        status_type(SendStatus, "send_status"),
        default=SendStatus.UNQUEUED,
        server_default=SendStatus.UNQUEUED.value,
    )
    imap_status: Mapped[ImapStatus] = mapped_column(
        status_type(ImapStatus, "imap_status"),
        default=ImapStatus.NOT_REQUESTED,
        server_default=ImapStatus.NOT_REQUESTED.value,
    )

    envelope_from: Mapped[str | None]
    recipients: Mapped[list[str]]
    to_display: Mapped[str]
    subject: Mapped[str]
    #: Entry, addresses and subject in lower case (case-folded), for the search in lists.
    search_text: Mapped[str] = mapped_column(default="", server_default=text("''"), deferred=True)
    #: How many files the message has, those in an archive counted too.
    file_count: Mapped[int] = mapped_column(default=0, server_default="0")
    #: The row that the entry came from, in the order of `source_columns`; secrets left empty.
    source_row: Mapped[list[str] | None] = mapped_column(deferred=True)
    message_id: Mapped[str | None]
    needs_smtputf8: Mapped[bool] = mapped_column(default=False)
    message_date: Mapped[datetime | None]
    size: Mapped[int | None] = mapped_column(RowNumber)
    sha256: Mapped[str | None] = mapped_column(String(64))
    #: Of what the letter says and holds, without date and Message-ID: the same in the next build.
    content_sha256: Mapped[str | None] = mapped_column(String(64), deferred=True)

    due_at: Mapped[datetime | None]
    queued_at: Mapped[datetime | None]
    first_claimed_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    attempt_count: Mapped[int] = mapped_column(default=0, server_default="0")
    fence: Mapped[int] = mapped_column(RowNumber, default=0, server_default="0")
    worker: Mapped[str | None]
    claimed_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    last_code: Mapped[int | None]
    last_reply: Mapped[str | None]
    last_error: Mapped[str | None]

    #: A copy that could not be filed waits until then; None: it is tried as soon as may be.
    append_due_at: Mapped[datetime | None]
    append_attempt_count: Mapped[int] = mapped_column(default=0, server_default="0")
    append_worker: Mapped[str | None]
    append_lease_until: Mapped[datetime | None]
    appended_at: Mapped[datetime | None]
    append_error: Mapped[str | None]

    #: Of a letter in doubt: how often it was looked for in the Sent folder and not found, when
    #: last, and when next (None: as `domain.delivery.filing.LOOKS` has it).
    look_count: Mapped[int] = mapped_column(default=0, server_default="0")
    looked_at: Mapped[datetime | None]
    look_due_at: Mapped[datetime | None]


class JobMessage(Base):
    """The frozen message; `frame` is what `Frame.encode` gives, attachments named by content."""

    __tablename__ = "job_messages"

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[UUID]
    frame: Mapped[bytes] = mapped_column(LargeBinary)


class JobIssue(Base):
    """An issue of a job, or of the whole version where `job_id` is absent."""

    __tablename__ = "issues"
    __table_args__ = (
        Index("ix_issues_version_id_position", "version_id", "position", "id"),
        Index("ix_issues_version_id_code_position", "version_id", "code", "position"),
    )

    id: Mapped[RowKey]
    tenant_id: Mapped[UUID]
    version_id: Mapped[UUID] = mapped_column(ForeignKey("campaign_versions.id", ondelete="CASCADE"))
    job_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), index=True
    )
    position: Mapped[int]
    code: Mapped[str] = mapped_column(String(60))
    severity: Mapped[Severity] = mapped_column(status_type(Severity, "severity"))
    pointer: Mapped[str]
    entry_id: Mapped[str | None]
    message: Mapped[str]
    hint: Mapped[str]


class JobAttachment(Base):
    """A file of a job's message, in the blob store under its hash."""

    __tablename__ = "attachments"
    __table_args__ = (
        UniqueConstraint("job_id", "position"),
        Index("ix_attachments_tenant_id_sha256", "tenant_id", "sha256"),
    )

    id: Mapped[RowKey]
    tenant_id: Mapped[UUID]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    position: Mapped[int]
    rule: Mapped[str]
    path: Mapped[str]
    filename: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int] = mapped_column(RowNumber)
    sha256: Mapped[str] = mapped_column(String(64))
    #: The archive that the file travels in; only the archive itself is in the blob store then.
    archive: Mapped[str | None]
    #: For this entry alone, not a file that everybody gets.
    is_personal: Mapped[bool] = mapped_column(default=False, server_default=false())
