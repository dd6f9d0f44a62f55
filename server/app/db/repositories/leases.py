"""Giving jobs back: those not tried, and those of workers that died or froze."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from app.db.models import AttemptOutcome, Job, SendAttempt
from app.db.repositories.delivery import Claimed, lock_in_order, moved
from app.mailer.domain.delivery.job import Event, sources_of, target_of

LOST = "The sender stopped before the server's answer was known."
#: Few enough for one statement of any database.
_CHUNK = 500


def release(session: Session, tenant_id: UUID, claimed: Sequence[Claimed], worker: str) -> int:
    """Give back claimed jobs that were not attempted, where they are still this worker's."""
    lock_in_order(session, tenant_id, [job.id for job in claimed])
    return moved(
        session.execute(
            update(Job)
            .where(
                Job.tenant_id == tenant_id,
                # The fence, since another thread of this worker may have claimed the job anew.
                or_(*(and_(Job.id == job.id, Job.fence == job.fence) for job in claimed)),
                Job.send_status.in_(sources_of(Event.RELEASE)),
                Job.worker == worker,
            )
            .values(send_status=target_of(Event.RELEASE), worker=None, lease_until=None)
            .execution_options(synchronize_session=False)
        )
    )


def expire(
    session: Session, tenant_id: UUID, *, now: datetime, dead_worker: str | None
) -> tuple[int, int]:
    """Take back what a dead worker held, or (with None) every lease that has run out.

    What was only claimed is queued again, its try `abandoned`. What was committing is in doubt.
    Returns how many of each.
    """
    queued = _lapsed(session, tenant_id, Event.EXPIRE_CLAIM, now=now, dead_worker=dead_worker)
    in_doubt = _lapsed(session, tenant_id, Event.LOSE, now=now, dead_worker=dead_worker)
    for start in range(0, len(queued), _CHUNK):
        _queue_again(session, tenant_id, queued[start : start + _CHUNK])
    for start in range(0, len(in_doubt), _CHUNK):
        _doubt(session, tenant_id, in_doubt[start : start + _CHUNK])
    return len(queued), len(in_doubt)


def _lapsed(
    session: Session, tenant_id: UUID, event: Event, *, now: datetime, dead_worker: str | None
) -> Sequence[UUID]:
    """The jobs that `event` is to move, locked: a worker that lives on finds them moved or not."""
    lapsed = (
        Job.worker == dead_worker
        if dead_worker is not None
        else or_(Job.lease_until < now, Job.lease_until.is_(None))
    )
    return session.scalars(
        select(Job.id)
        .where(Job.tenant_id == tenant_id, Job.send_status.in_(sources_of(event)), lapsed)
        .order_by(Job.id)
        .with_for_update()
    ).all()


def _queue_again(session: Session, tenant_id: UUID, job_ids: Sequence[UUID]) -> None:
    own = (Job.tenant_id == tenant_id, Job.id.in_(job_ids))
    number = (
        select(func.coalesce(func.max(SendAttempt.number), 0) + 1)
        .where(SendAttempt.job_id == Job.id)
        .correlate(Job)
        .scalar_subquery()
    )
    session.execute(
        insert(SendAttempt).from_select(
            ["tenant_id", "job_id", "number", "fence", "worker", "claimed_at", "outcome"],
            select(
                Job.tenant_id,
                Job.id,
                number,
                Job.fence,
                Job.worker,
                Job.claimed_at,
                # A bound value, since an enum literal would be rendered by its name.
                _outcome(AttemptOutcome.ABANDONED),
            ).where(*own),
        )
    )
    session.execute(
        update(Job)
        .where(*own)
        .values(send_status=target_of(Event.EXPIRE_CLAIM), worker=None, lease_until=None)
        .execution_options(synchronize_session=False)
    )


def _doubt(session: Session, tenant_id: UUID, job_ids: Sequence[UUID]) -> None:
    session.execute(
        update(Job)
        .where(Job.tenant_id == tenant_id, Job.id.in_(job_ids))
        .values(
            send_status=target_of(Event.LOSE),
            worker=None,
            lease_until=None,
            due_at=None,
            last_code=None,
            last_reply=None,
            last_error=LOST,
        )
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(SendAttempt)
        .where(
            SendAttempt.tenant_id == tenant_id,
            SendAttempt.outcome.is_(None),
            SendAttempt.job_id.in_(job_ids),
        )
        .values(outcome=AttemptOutcome.UNKNOWN)
        .execution_options(synchronize_session=False)
    )


def _outcome(outcome: AttemptOutcome) -> Any:
    return bindparam("outcome", outcome, type_=SendAttempt.outcome.type)
