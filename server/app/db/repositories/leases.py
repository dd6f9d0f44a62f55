"""Giving jobs back: those not tried, and those of workers that died or froze."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from app.db.models import AttemptOutcome, Job, SendAttempt
from app.db.repositories.attempts import next_number
from app.db.repositories.delivery import Claimed, lock_in_order, moved, still
from app.mailer.domain.delivery.job import Event, sources_of, target_of
from app.mailer.ports import Stage

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
                # By fence, since another thread of this worker may have claimed the job anew.
                *still(tenant_id, claimed),
                Job.send_status.in_(sources_of(Event.RELEASE)),
                Job.worker == worker,
            )
            .values(send_status=target_of(Event.RELEASE), worker=None, lease_until=None)
            .execution_options(synchronize_session=False)
        )
    )


def withdraw(session: Session, tenant_id: UUID, jobs: Sequence[Claimed]) -> int:
    """Queue jobs again of which this worker knows that no closing dot left; how many.

    Also those that were held for in doubt meanwhile. These are no attempts.
    """
    lock_in_order(session, tenant_id, [job.id for job in jobs])
    return moved(
        session.execute(
            update(Job)
            .where(
                *still(tenant_id, jobs),
                Job.send_status.in_(sources_of(Event.NO_DOT)),
            )
            .values(**_queued_again(Event.NO_DOT))
            .execution_options(synchronize_session=False)
        )
    )


def expire(
    session: Session,
    tenant_id: UUID,
    *,
    now: datetime,
    dead_worker: str | None,
    dots: AbstractSet[tuple[UUID, int]] | None = None,
) -> tuple[int, int]:
    """Take back what a dead worker held, or (with None) every lease that has run out.

    What was only claimed is queued again, its try `abandoned`; so is what was committing, where
    `dots`, the jobs (with fence) whose closing dot may have left, is known and has it not. Else it
    is in doubt. Returns how many of each.
    """
    lapsed = _lapsed(session, tenant_id, now=now, dead_worker=dead_worker)
    claimed, undotted, in_doubt = [], [], []
    for row in lapsed:
        if row.send_status in sources_of(Event.EXPIRE_CLAIM):
            claimed.append(row.id)
        elif dots is not None and (row.id, row.fence) not in dots:
            undotted.append(row.id)
        else:
            in_doubt.append(row.id)
    for event, job_ids in ((Event.EXPIRE_CLAIM, claimed), (Event.NO_DOT, undotted)):
        for some in _chunks(job_ids):
            _write_attempts(session, tenant_id, some, AttemptOutcome.ABANDONED)
            session.execute(_of(tenant_id, some).values(**_queued_again(event)))
    for some in _chunks(in_doubt):
        _write_attempts(session, tenant_id, some, AttemptOutcome.UNKNOWN)
        session.execute(
            _of(tenant_id, some).values(
                send_status=target_of(Event.LOSE),
                worker=None,
                lease_until=None,
                due_at=None,
                last_code=None,
                last_reply=None,
                last_error=LOST,
            )
        )
    return len(claimed) + len(undotted), len(in_doubt)


def clear_doubts(
    session: Session, tenant_id: UUID, *, worker: str, dots: AbstractSet[tuple[UUID, int]]
) -> int:
    """Queue again what was held for in doubt while `worker` was silent, and has no closing dot.

    `dots` is what its journal says. Returns how many there were.
    """
    held = session.execute(
        select(Job.id, Job.fence)
        .join(SendAttempt, and_(SendAttempt.job_id == Job.id, SendAttempt.fence == Job.fence))
        .where(
            Job.tenant_id == tenant_id,
            Job.send_status == target_of(Event.LOSE),
            SendAttempt.worker == worker,
            SendAttempt.outcome == AttemptOutcome.UNKNOWN,
        )
        .order_by(Job.id)
        .with_for_update(of=Job)
    ).all()
    undotted = [row.id for row in held if (row.id, row.fence) not in dots]
    for some in _chunks(undotted):
        session.execute(
            update(SendAttempt)
            .where(
                SendAttempt.tenant_id == tenant_id,
                SendAttempt.job_id.in_(some),
                SendAttempt.worker == worker,
                SendAttempt.outcome == AttemptOutcome.UNKNOWN,
            )
            .values(outcome=AttemptOutcome.ABANDONED)
            .execution_options(synchronize_session=False)
        )
        session.execute(_of(tenant_id, some).values(**_queued_again(Event.NO_DOT)))
    return len(undotted)


def _chunks(job_ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(job_ids), _CHUNK):
        yield job_ids[start : start + _CHUNK]


def _queued_again(event: Event) -> dict[str, Any]:
    values: dict[str, Any] = {"send_status": target_of(event), "worker": None, "lease_until": None}
    if event is Event.NO_DOT:
        # The commit had counted a try; and what is in doubt is not due.
        values["attempt_count"] = Job.attempt_count - 1
        values["due_at"] = func.coalesce(Job.due_at, Job.queued_at)
    return values


def _of(tenant_id: UUID, job_ids: Sequence[UUID]) -> Any:
    return (
        update(Job)
        .where(Job.tenant_id == tenant_id, Job.id.in_(job_ids))
        .execution_options(synchronize_session=False)
    )


def _lapsed(
    session: Session, tenant_id: UUID, *, now: datetime, dead_worker: str | None
) -> Sequence[Any]:
    """The jobs that are to be taken back, locked: whoever lives on finds them moved or not."""
    lapsed = (
        Job.worker == dead_worker
        if dead_worker is not None
        else or_(Job.lease_until < now, Job.lease_until.is_(None))
    )
    held = sources_of(Event.EXPIRE_CLAIM) | sources_of(Event.LOSE)
    return session.execute(
        select(Job.id, Job.fence, Job.send_status)
        .where(Job.tenant_id == tenant_id, Job.send_status.in_(held), lapsed)
        .order_by(Job.id)
        .with_for_update()
    ).all()


def _write_attempts(
    session: Session, tenant_id: UUID, job_ids: Sequence[UUID], outcome: AttemptOutcome
) -> None:
    """The attempts that broke off, one for each job."""
    columns = ["tenant_id", "job_id", "number", "fence", "worker", "claimed_at", "outcome", "stage"]
    session.execute(
        insert(SendAttempt).from_select(
            columns,
            select(
                Job.tenant_id,
                Job.id,
                next_number(Job.tenant_id, Job.id),
                Job.fence,
                Job.worker,
                Job.claimed_at,
                # Bound values, since an enum literal would be rendered by its name.
                bindparam("outcome", outcome, type_=SendAttempt.outcome.type),
                bindparam(
                    "stage",
                    Stage.DOT if outcome is AttemptOutcome.UNKNOWN else None,
                    type_=SendAttempt.stage.type,
                ),
            ).where(Job.tenant_id == tenant_id, Job.id.in_(job_ids)),
        )
    )
