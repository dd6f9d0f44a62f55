"""Queries about filing copies in the Sent folder; the send status is never touched here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, insert, or_, select, union, update
from sqlalchemy.orm import Session

from app.db.models import AppendAttemptOutcome, Campaign, CampaignVersion, ImapAppendAttempt, Job
from app.db.repositories import doubts
from app.db.repositories.delivery import lock_in_order, moved
from app.mailer.domain.delivery.job import ImapStatus, SendStatus


@dataclass(frozen=True, slots=True)
class ToAppend:
    """A sent message whose copy is wanted, taken by this worker until its lease ends.

    `tries` is how often its copy was tried before.
    """

    id: UUID
    version_id: UUID
    message_id: str
    sent_at: datetime
    size: int
    sha256: str
    to_display: str
    tries: int


@dataclass(frozen=True, slots=True)
class Taker:
    """Who takes copies, and from when until when."""

    worker: str
    now: datetime
    lease_until: datetime


def count(
    session: Session, tenant_id: UUID, campaign_id: UUID, statuses: Collection[ImapStatus]
) -> int:
    """How many sent messages of a campaign are in one of these IMAP states."""
    return (
        session.scalar(
            select(func.count())
            .select_from(Job)
            .join(CampaignVersion, CampaignVersion.id == Job.version_id)
            .where(
                Job.tenant_id == tenant_id,
                CampaignVersion.campaign_id == campaign_id,
                Job.send_status == SendStatus.SENT,
                Job.imap_status.in_(statuses),
            )
        )
        or 0
    )


def versions_with_copies(
    session: Session, tenant_id: UUID, campaign_id: UUID, statuses: Collection[ImapStatus]
) -> Sequence[UUID]:
    """The versions of a campaign of which messages are in one of these IMAP states."""
    return _versions(session, tenant_id, campaign_id, Job.imap_status.in_(statuses))


def versions_due(
    session: Session, tenant_id: UUID, campaign_id: UUID, now: datetime, patience: timedelta
) -> Sequence[UUID]:
    """The versions of a campaign of which `take_due` would find something now."""
    return _versions(session, tenant_id, campaign_id, copy_is_due(now, patience))


def _versions(
    session: Session, tenant_id: UUID, campaign_id: UUID, condition: ColumnElement[bool]
) -> Sequence[UUID]:
    found = select(Job.version_id).where(
        Job.tenant_id == tenant_id, Job.campaign_id == campaign_id, condition
    )
    return session.scalars(
        select(CampaignVersion.id)
        .where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.id.in_(found))
        .order_by(CampaignVersion.number)
    ).all()


def due(session: Session, now: datetime, patience: timedelta) -> Sequence[tuple[UUID, UUID]]:
    """Tenant and campaign of everything that `append_some` has to do now.

    A worker's own query, hence of all tenants. What waits is found by indexes that have nothing
    else, once for all versions: asked for each version, Postgres may read all jobs each time.
    """
    waiting = union(
        select(Job.campaign_id).where(copy_is_due(now, patience)),
        select(Job.campaign_id).where(doubts.look_is_due(now)),
    ).subquery()
    rows = session.execute(
        select(Campaign.tenant_id, Campaign.id).where(
            Campaign.id.in_(select(waiting.c.campaign_id)),
            or_(Campaign.append_held_until.is_(None), Campaign.append_held_until <= now),
        )
    )
    return [(tenant_id, campaign_id) for tenant_id, campaign_id in rows]


def take(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    statuses: Collection[ImapStatus],
    *,
    tried_before: datetime,
    by: Taker,
    limit: int,
) -> list[ToAppend]:
    """Lease up to `limit` messages of a version whose copy is to be filed, for a person.

    Those that this run tried already (their last try is not before `tried_before`) are left out.
    """
    tried = exists(
        select(ImapAppendAttempt.id).where(
            ImapAppendAttempt.tenant_id == tenant_id,
            ImapAppendAttempt.job_id == Job.id,
            ImapAppendAttempt.started_at >= tried_before,
        )
    )
    wanted = (Job.imap_status.in_(statuses), ~tried)
    return _take(session, tenant_id, version_id, wanted, by, limit)


def take_due(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    *,
    patience: timedelta,
    by: Taker,
    limit: int,
) -> list[ToAppend]:
    """Lease up to `limit` messages of a version whose copy is due, for a worker."""
    return _take(session, tenant_id, version_id, (copy_is_due(by.now, patience),), by, limit)


def copy_is_due(now: datetime, patience: timedelta) -> ColumnElement[bool]:
    """Of a job: a worker may file its copy now."""
    return (
        (Job.imap_status == ImapStatus.PENDING)
        & (Job.sent_at <= now - patience)
        & or_(Job.append_due_at.is_(None), Job.append_due_at <= now)
        & _is_free(now)
    )


def extend(
    session: Session,
    tenant_id: UUID,
    jobs: Collection[ToAppend],
    worker: str,
    lease_until: datetime,
) -> set[UUID]:
    """Hold on to leased messages; those that are still this worker's."""
    lock_in_order(session, tenant_id, [job.id for job in jobs])
    return set(
        session.scalars(
            update(Job)
            .where(
                Job.tenant_id == tenant_id,
                Job.id.in_([job.id for job in jobs]),
                Job.append_worker == worker,
            )
            .values(append_lease_until=lease_until)
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        )
    )


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(Job.append_lease_until.is_(None), Job.append_lease_until < now)


def _take(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    wanted: tuple[ColumnElement[bool], ...],
    by: Taker,
    limit: int,
) -> list[ToAppend]:
    waiting = (
        select(Job.id)
        .where(
            Job.tenant_id == tenant_id,
            Job.version_id == version_id,
            Job.send_status == SendStatus.SENT,
            _is_free(by.now),
            *wanted,
        )
        .order_by(Job.position)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("waiting")
    )
    rows = session.execute(
        update(Job)
        .where(Job.tenant_id == tenant_id, Job.id.in_(select(waiting.c.id)))
        .values(append_worker=by.worker, append_lease_until=by.lease_until)
        .returning(
            Job.position,
            Job.id,
            Job.version_id,
            Job.message_id,
            Job.sent_at,
            Job.size,
            Job.sha256,
            Job.to_display,
            Job.append_attempt_count,
        )
        .execution_options(synchronize_session=False)
    ).all()
    return [
        ToAppend(
            row.id,
            row.version_id,
            row.message_id or "",
            row.sent_at or by.now,
            row.size or 0,
            row.sha256 or "",
            row.to_display,
            row.append_attempt_count,
        )
        for row in sorted(rows, key=lambda row: row.position)
    ]


def record(
    session: Session,
    tenant_id: UUID,
    job: ToAppend,
    outcome: AppendAttemptOutcome,
    status: ImapStatus,
    *,
    worker: str,
    started_at: datetime,
    now: datetime,
    folder: str | None,
    error: str | None,
    due_at: datetime | None = None,
) -> bool:
    """Write down how filing a copy ended. False where another worker took over meanwhile.

    One that stays pending is looked for before it is tried again, not before `due_at`.
    """
    won = moved(
        session.execute(
            update(Job)
            .where(Job.tenant_id == tenant_id, Job.id == job.id, Job.append_worker == worker)
            .values(
                imap_status=status,
                appended_at=now if status is ImapStatus.APPENDED else None,
                append_error=error,
                append_due_at=due_at,
                append_attempt_count=Job.append_attempt_count + 1,
                append_worker=None,
                append_lease_until=None,
            )
            .execution_options(synchronize_session=False)
        )
    )
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
    return bool(won)


def give_back(session: Session, tenant_id: UUID, jobs: Collection[ToAppend], worker: str) -> None:
    """Let go of leased messages that were not tried."""
    lock_in_order(session, tenant_id, [job.id for job in jobs])
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


@dataclass(frozen=True, slots=True)
class Standstill:
    """Until when workers file no copy of a campaign, and how often in a row that was so."""

    until: datetime | None
    holds: int


def standstill(session: Session, tenant_id: UUID, campaign_id: UUID) -> Standstill:
    """Whether the copies of a campaign are held back. Nobody holds back what is not there."""
    row = session.execute(
        select(Campaign.append_held_until, Campaign.append_holds).where(
            Campaign.tenant_id == tenant_id, Campaign.id == campaign_id
        )
    ).one_or_none()
    return Standstill(None, 0) if row is None else Standstill(*row)
