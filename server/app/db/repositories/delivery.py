"""The queries that find and claim what is due.

Every statement names its tenant. A claim takes many jobs at once, by compare-and-set; what follows
is one job at a time (`attempts`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from app.db.models import Campaign, CampaignVersion, Job, JobMessage
from app.mailer.domain.delivery.job import Event, sources_of, target_of


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that this worker holds until its lease ends, and what sending it needs."""

    id: UUID
    version_id: UUID
    fence: int
    #: Absent where it was only looked at.
    claimed_at: datetime | None
    envelope_from: str
    recipients: tuple[str, ...]
    needs_smtputf8: bool
    size: int
    sha256: str
    queued_at: datetime
    attempt_count: int
    to_display: str


_NEEDED = (
    Job.id,
    Job.version_id,
    Job.fence,
    Job.claimed_at,
    Job.envelope_from,
    Job.recipients,
    Job.needs_smtputf8,
    Job.size,
    Job.sha256,
    Job.queued_at,
    Job.attempt_count,
    Job.to_display,
)


def claim(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    *,
    worker: str,
    now: datetime,
    lease_until: datetime,
    limit: int,
) -> list[Claimed]:
    """Take up to `limit` due jobs of a version, in order; no two workers ever take the same one.

    None while the campaign is paused.
    """
    due = (
        select(Job.id)
        .where(*_due(tenant_id, version_id, now), not_paused(tenant_id, version_id))
        .order_by(Job.position)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = session.execute(
        update(Job)
        .where(
            Job.tenant_id == tenant_id,
            Job.id.in_(select(due.c.id)),
            Job.send_status.in_(sources_of(Event.CLAIM)),
        )
        .values(
            send_status=target_of(Event.CLAIM),
            fence=Job.fence + 1,
            worker=worker,
            claimed_at=now,
            lease_until=lease_until,
            first_claimed_at=func.coalesce(Job.first_claimed_at, now),
        )
        .returning(Job.position, *_NEEDED)
        .execution_options(synchronize_session=False)
    ).all()
    return [_claimed(row) for row in sorted(rows, key=lambda row: row.position)]


def due_count(session: Session, tenant_id: UUID, version_id: UUID, now: datetime) -> int:
    """How many jobs of a version could be claimed now."""
    count = session.scalar(
        select(func.count()).select_from(Job).where(*_due(tenant_id, version_id, now))
    )
    return count or 0


def any_due(session: Session, tenant_id: UUID, version_id: UUID, now: datetime) -> bool:
    """Whether a claim would find something now."""
    return bool(
        session.scalar(
            select(
                exists().where(*_due(tenant_id, version_id, now), not_paused(tenant_id, version_id))
            )
        )
    )


@dataclass(frozen=True, slots=True)
class Pause:
    """Who holds a campaign back, since when, and why."""

    by: str
    at: datetime
    reason: str

    def __str__(self) -> str:
        why = f": {self.reason}" if self.reason else "."
        return f"The campaign was paused by {self.by} at {self.at:%Y-%m-%d %H:%M} UTC{why}"


def pause_of(session: Session, tenant_id: UUID, version_id: UUID) -> Pause | None:
    """The pause of the version's campaign, or None while it is not paused."""
    row = session.execute(
        select(Campaign.paused_by, Campaign.paused_at, Campaign.pause_reason)
        .join(CampaignVersion, CampaignVersion.campaign_id == Campaign.id)
        .where(
            Campaign.tenant_id == tenant_id,
            CampaignVersion.id == version_id,
            Campaign.paused_at.is_not(None),
        )
    ).one_or_none()
    if row is None:
        return None
    return Pause(row.paused_by or "somebody", row.paused_at, row.pause_reason or "")


def not_paused(tenant_id: UUID, version_id: UUID) -> ColumnElement[bool]:
    """Nobody paused the version's campaign: a condition of every step towards the dot."""
    return ~exists(
        select(Campaign.id)
        .join(CampaignVersion, CampaignVersion.campaign_id == Campaign.id)
        .where(
            Campaign.tenant_id == tenant_id,
            CampaignVersion.id == version_id,
            Campaign.paused_at.is_not(None),
        )
    )


def next_due(session: Session, tenant_id: UUID, campaign_id: UUID) -> datetime | None:
    """When the next job of a campaign that waits is due, or None where none waits."""
    return session.scalar(
        select(func.min(Job.due_at)).where(
            Job.tenant_id == tenant_id,
            Job.campaign_id == campaign_id,
            Job.send_status.in_(sources_of(Event.CLAIM)),
        )
    )


def due_page(
    session: Session, tenant_id: UUID, version_id: UUID, now: datetime, *, after: int, limit: int
) -> list[tuple[int, Claimed]]:
    """The next due jobs behind position `after`, without taking them (for a rehearsal)."""
    rows = session.execute(
        select(Job.position, *_NEEDED)
        .where(*_due(tenant_id, version_id, now), Job.position > after)
        .order_by(Job.position)
        .limit(limit)
    ).all()
    return [(row.position, _claimed(row)) for row in rows]


def frame_of(session: Session, tenant_id: UUID, job_id: UUID) -> bytes | None:
    """The frozen message of a job, as `Frame.encode` made it."""
    return session.scalar(
        select(JobMessage.frame).where(
            JobMessage.tenant_id == tenant_id, JobMessage.job_id == job_id
        )
    )


def frames_of(session: Session, tenant_id: UUID, job_ids: Collection[UUID]) -> dict[UUID, bytes]:
    """The frozen messages of some jobs, by job; those that are gone are missing."""
    rows = session.execute(
        select(JobMessage.job_id, JobMessage.frame).where(
            JobMessage.tenant_id == tenant_id, JobMessage.job_id.in_(job_ids)
        )
    )
    return {row.job_id: row.frame for row in rows}


def _due(tenant_id: UUID, version_id: UUID, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Job.tenant_id == tenant_id,
        Job.version_id == version_id,
        Job.send_status.in_(sources_of(Event.CLAIM)),
        Job.due_at <= now,
    )


def _claimed(row: Any) -> Claimed:
    return Claimed(
        id=row.id,
        version_id=row.version_id,
        fence=row.fence,
        claimed_at=row.claimed_at,
        envelope_from=row.envelope_from,
        recipients=tuple(row.recipients),
        needs_smtputf8=row.needs_smtputf8,
        size=row.size,
        sha256=row.sha256,
        queued_at=row.queued_at,
        attempt_count=row.attempt_count,
        to_display=row.to_display,
    )


def still(tenant_id: UUID, claimed: Collection[Claimed]) -> tuple[ColumnElement[bool], ...]:
    """The jobs as they were claimed: one that was claimed anew has another fence."""
    return (
        Job.tenant_id == tenant_id,
        tuple_(Job.id, Job.fence).in_([(job.id, job.fence) for job in claimed]),
    )


def lock_in_order(session: Session, tenant_id: UUID, job_ids: Collection[UUID]) -> None:
    """Lock some jobs as everybody locks several, so that nobody waits in a circle."""
    session.scalars(
        select(Job.id)
        .where(Job.tenant_id == tenant_id, Job.id.in_(job_ids))
        .order_by(Job.id)
        .with_for_update()
    ).all()


def moved(result: Any) -> int:
    """How many rows a statement changed."""
    assert isinstance(result, CursorResult)
    return result.rowcount
