"""Every try to send a message, and to file its copy in the Sent folder."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, Json, RowKey, RowNumber, status_type
from app.mailer.ports import AppendOutcome, Stage


class AttemptOutcome(StrEnum):
    """How a try to send ended; `abandoned` ones ended before the closing dot."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"


class AppendAttemptOutcome(StrEnum):
    """How a try to append ended: as `AppendOutcome` says, or not."""

    APPENDED = AppendOutcome.APPENDED.value
    ALREADY_THERE = AppendOutcome.ALREADY_THERE.value
    FAILED = "failed"
    UNKNOWN = "unknown"


class SendAttempt(Base):
    """One claim of a job. `outcome` is absent while it runs; `stage` is how far it came."""

    __tablename__ = "send_attempts"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[RowKey]
    tenant_id: Mapped[UUID]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    number: Mapped[int]
    fence: Mapped[int] = mapped_column(RowNumber)
    worker: Mapped[str]
    claimed_at: Mapped[datetime]
    data_started_at: Mapped[datetime | None]
    replied_at: Mapped[datetime | None]
    outcome: Mapped[AttemptOutcome | None] = mapped_column(status_type(AttemptOutcome, "outcome"))
    stage: Mapped[Stage | None] = mapped_column(status_type(Stage, "stage"))
    code: Mapped[int | None]
    reply: Mapped[str | None]
    #: [{"address": …, "code": …, "text": …}]
    recipient_replies: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)


class ImapAppendAttempt(Base):
    """One try to file the copy; `outcome` is absent while it runs."""

    __tablename__ = "imap_append_attempts"
    __table_args__ = (UniqueConstraint("job_id", "number"),)

    id: Mapped[RowKey]
    tenant_id: Mapped[UUID]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    number: Mapped[int]
    worker: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[AppendAttemptOutcome | None] = mapped_column(
        status_type(AppendAttemptOutcome, "outcome")
    )
    folder: Mapped[str | None]
    error: Mapped[str | None]
