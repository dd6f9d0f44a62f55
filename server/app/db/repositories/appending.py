"""Queries about filing copies in the Sent folder; the send status is never touched here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import CursorResult, func, insert, or_, select, update
from sqlalchemy.orm import Session

from app.db.models import AppendAttemptOutcome, ImapAppendAttempt, Job
from app.mailer.domain.delivery.job import ImapStatus, SendStatus


@dataclass(frozen=True, slots=True)
class ToAppend:
    """A sent message whose copy is wanted, taken by this worker until its lease ends."""

    id: UUID
    version_id: UUID
    message_id: str
    sent_at: datetime
    size: int
    sha256: str
    to_display: str


def count(
    session: Session, tenant_id: UUID, campaign_id: UUID, statuses: Collection[ImapStatus]
) -> int:
    """How many sent messages of a campaign are in one of these IMAP states."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Job)
            .where(
                Job.tenant_id == tenant_id,
                Job.campaign_id == campaign_id,
                Job.send_status == SendStatus.SENT,
                Job.imap_status.in_(statuses),
            )
        )
        or 0
    )


def take(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    statuses: Collection[ImapStatus],
    *,
    tried_before: datetime,
    worker: str,
    now: datetime,
    lease_until: datetime,
    limit: int,
) -> list[ToAppend]:
    """Lease up to `limit` messages whose copy is to be filed.

    Those that this run tried already (their last try is not before `tried_before`) are left out.
    """
    tried = (
        select(ImapAppendAttempt.id)
        .where(
            ImapAppendAttempt.tenant_id == tenant_id,
            ImapAppendAttempt.job_id == Job.id,
            ImapAppendAttempt.started_at >= tried_before,
        )
        .exists()
    )
    waiting = (
        select(Job.id)
        .where(
            Job.tenant_id == tenant_id,
            Job.campaign_id == campaign_id,
            Job.send_status == SendStatus.SENT,
            Job.imap_status.in_(statuses),
            or_(Job.append_lease_until.is_(None), Job.append_lease_until < now),
            ~tried,
        )
        .order_by(Job.sent_at, Job.position)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("waiting")
    )
    rows = session.execute(
        update(Job)
        .where(Job.tenant_id == tenant_id, Job.id.in_(select(waiting.c.id)))
        .values(append_worker=worker, append_lease_until=lease_until)
        .returning(
            Job.id,
            Job.version_id,
            Job.message_id,
            Job.sent_at,
            Job.size,
            Job.sha256,
            Job.to_display,
        )
        .execution_options(synchronize_session=False)
    ).all()
    found = [
        ToAppend(
            row.id,
            row.version_id,
            row.message_id or "",
            row.sent_at or now,
            row.size or 0,
            row.sha256 or "",
            row.to_display,
        )
        for row in rows
    ]
    return sorted(found, key=lambda each: each.sent_at)


def record(
    session: Session,
    tenant_id: UUID,
    job: ToAppend,
    outcome: AppendAttemptOutcome,
    *,
    worker: str,
    started_at: datetime,
    now: datetime,
    folder: str | None,
    error: str | None,
    waits: bool = False,
) -> bool:
    """Write down how filing a copy ended. False where another worker took over meanwhile.

    A copy that may be there, and one that the account and not the message kept out (`waits`),
    stay pending: the next run looks for them first.
    """
    done = outcome in (AppendAttemptOutcome.APPENDED, AppendAttemptOutcome.ALREADY_THERE)
    if done:
        status = ImapStatus.APPENDED
    else:
        unknown = outcome is AppendAttemptOutcome.UNKNOWN
        status = ImapStatus.PENDING if unknown or waits else ImapStatus.FAILED
    result = session.execute(
        update(Job)
        .where(Job.tenant_id == tenant_id, Job.id == job.id, Job.append_worker == worker)
        .values(
            imap_status=status,
            appended_at=now if done else None,
            append_error=error,
            append_attempt_count=Job.append_attempt_count + 1,
            append_worker=None,
            append_lease_until=None,
        )
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    number = (
        select(func.coalesce(func.max(ImapAppendAttempt.number), 0) + 1)
        .where(ImapAppendAttempt.tenant_id == tenant_id, ImapAppendAttempt.job_id == job.id)
        .scalar_subquery()
    )
    session.execute(
        insert(ImapAppendAttempt).values(
            tenant_id=tenant_id,
            job_id=job.id,
            number=number,
            worker=worker,
            started_at=started_at,
            finished_at=now,
            outcome=outcome,
            folder=folder,
            error=error,
        )
    )
    return bool(result.rowcount)


def give_back(session: Session, tenant_id: UUID, jobs: Collection[ToAppend], worker: str) -> None:
    """Let go of leased messages that were not tried."""
    session.execute(
        update(Job)
        .where(
            Job.tenant_id == tenant_id,
            Job.id.in_([job.id for job in jobs]),
            Job.append_worker == worker,
        )
        .values(append_worker=None, append_lease_until=None)
        .execution_options(synchronize_session=False)
    )


def free_leases_of(session: Session, tenant_id: UUID, worker: str) -> None:
    """A dead worker's leases need not run out: every append looks for the copy first."""
    session.execute(
        update(Job)
        .where(Job.tenant_id == tenant_id, Job.append_worker == worker)
        .values(append_worker=None, append_lease_until=None)
        .execution_options(synchronize_session=False)
    )
