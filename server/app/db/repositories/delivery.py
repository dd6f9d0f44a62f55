"""The engine's queries: each move of a job is one compare-and-set, built from the table of moves.

Every statement names its tenant, compares state and fence, and says whether it won. A claim takes
many jobs at once; what follows is one job at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from app.db.models import AttemptOutcome, Job, JobMessage, SendAttempt
from app.mailer.domain.job import Event, ImapStatus, SendStatus, sources_of, target_of
from app.mailer.ports import RecipientReply, Reply, Stage


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that this worker holds until its lease ends, and what sending it needs."""

    id: UUID
    version_id: UUID
    fence: int
    claimed_at: datetime
    envelope_from: str
    recipients: tuple[str, ...]
    needs_smtputf8: bool
    size: int
    sha256: str
    queued_at: datetime
    attempt_count: int
    to_display: str


@dataclass(frozen=True, slots=True)
class Attempted:
    """How one try ended, for the job and its `send_attempts` row."""

    event: Event
    outcome: AttemptOutcome | None
    stage: Stage
    reply: Reply | None = None
    recipients: Sequence[RecipientReply] = ()
    error: str | None = None
    due_at: datetime | None = None
    #: Whether it counts against `max_attempts`.
    counts: bool = True


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
    """Take up to `limit` due jobs of a version, in order; no two workers ever take the same one."""
    due = (
        select(Job.id)
        .where(
            Job.tenant_id == tenant_id,
            Job.version_id == version_id,
            Job.send_status.in_(sources_of(Event.CLAIM)),
            Job.due_at <= now,
        )
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
        .returning(
            Job.position,
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
        .execution_options(synchronize_session=False)
    ).all()
    return [_claimed(row) for row in sorted(rows, key=lambda row: row.position)]


def due_count(session: Session, tenant_id: UUID, version_id: UUID, now: datetime) -> int:
    """How many jobs of a version could be claimed now."""
    count = session.scalar(
        select(func.count())
        .select_from(Job)
        .where(
            Job.tenant_id == tenant_id,
            Job.version_id == version_id,
            Job.send_status.in_(sources_of(Event.CLAIM)),
            Job.due_at <= now,
        )
    )
    return count or 0


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
        select(
            Job.position,
            Job.id,
            Job.version_id,
            Job.fence,
            Job.queued_at.label("claimed_at"),
            Job.envelope_from,
            Job.recipients,
            Job.needs_smtputf8,
            Job.size,
            Job.sha256,
            Job.queued_at,
            Job.attempt_count,
            Job.to_display,
        )
        .where(
            Job.tenant_id == tenant_id,
            Job.version_id == version_id,
            Job.send_status.in_(sources_of(Event.CLAIM)),
            Job.due_at <= now,
            Job.position > after,
        )
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


def release(session: Session, tenant_id: UUID, claimed: Sequence[Claimed], worker: str) -> int:
    """Give back claimed jobs that were not attempted."""
    return _moved(
        session.execute(
            update(Job)
            .where(
                Job.tenant_id == tenant_id,
                Job.id.in_([job.id for job in claimed]),
                Job.send_status.in_(sources_of(Event.RELEASE)),
                Job.worker == worker,
            )
            .values(send_status=target_of(Event.RELEASE), worker=None, lease_until=None)
            .execution_options(synchronize_session=False)
        )
    )


def commit_to_send(
    session: Session,
    tenant_id: UUID,
    job: Claimed,
    *,
    worker: str,
    lease_until: datetime,
    data_started_at: datetime,
    recipients: Sequence[RecipientReply],
) -> bool:
    """The one statement after which the closing dot may leave, once it is committed.

    False where the job is no longer this worker's: another took it, or a person cancelled it.
    """
    won = _moved(
        session.execute(
            update(Job)
            .where(
                Job.tenant_id == tenant_id,
                Job.id == job.id,
                Job.send_status.in_(sources_of(Event.COMMIT)),
                Job.fence == job.fence,
                Job.worker == worker,
            )
            .values(
                send_status=target_of(Event.COMMIT),
                lease_until=lease_until,
                attempt_count=Job.attempt_count + 1,
            )
            .execution_options(synchronize_session=False)
        )
    )
    if not won:
        return False
    _insert_attempt(
        session,
        tenant_id,
        job,
        worker=worker,
        data_started_at=data_started_at,
        stage=Stage.DOT,
        recipient_replies=_as_json(recipients),
    )
    return True


def record(
    session: Session,
    tenant_id: UUID,
    job: Claimed,
    attempted: Attempted,
    *,
    worker: str,
    now: datetime,
    append_pending: bool,
) -> bool:
    """Write down how a try ended. False where the job had moved on without this worker."""
    committed = attempted.stage is Stage.DOT
    values: dict[str, Any] = {
        "send_status": target_of(attempted.event),
        "worker": None,
        "lease_until": None,
        "due_at": attempted.due_at,
        "last_code": attempted.reply.code if attempted.reply else None,
        "last_reply": attempted.reply.text if attempted.reply else None,
        "last_error": attempted.error,
    }
    if not committed and attempted.counts:
        values["attempt_count"] = Job.attempt_count + 1
    if attempted.event is Event.ACCEPTED:
        values["sent_at"] = now
        values["imap_status"] = ImapStatus.PENDING if append_pending else ImapStatus.NOT_REQUESTED
    won = _moved(
        session.execute(
            update(Job)
            .where(
                Job.tenant_id == tenant_id,
                Job.id == job.id,
                Job.send_status.in_(
                    sources_of(attempted.event)
                    & {SendStatus.COMMITTING if committed else SendStatus.CLAIMED}
                ),
                Job.fence == job.fence,
            )
            .values(**values)
            .execution_options(synchronize_session=False)
        )
    )
    if not won:
        return False
    outcome = {
        "replied_at": now,
        "outcome": attempted.outcome,
        "stage": attempted.stage,
        "code": attempted.reply.code if attempted.reply else None,
        "reply": attempted.reply.text if attempted.reply else attempted.error,
    }
    if committed:
        session.execute(
            update(SendAttempt)
            .where(
                SendAttempt.tenant_id == tenant_id,
                SendAttempt.job_id == job.id,
                SendAttempt.fence == job.fence,
            )
            .values(**outcome)
            .execution_options(synchronize_session=False)
        )
    elif attempted.outcome is not None:
        _insert_attempt(
            session,
            tenant_id,
            job,
            worker=worker,
            recipient_replies=_as_json(attempted.recipients),
            **outcome,
        )
    return True


@dataclass(frozen=True, slots=True)
class Found:
    """A job whose reply was found in a journal."""

    id: UUID
    version_id: UUID
    send_status: SendStatus
    attempt_count: int
    queued_at: datetime


def find_for_reply(session: Session, tenant_id: UUID, job_id: UUID, fence: int) -> Found | None:
    """The job that a journalled reply is about, if it still waits to hear of it."""
    row = session.execute(
        select(Job.id, Job.version_id, Job.send_status, Job.attempt_count, Job.queued_at).where(
            Job.tenant_id == tenant_id,
            Job.id == job_id,
            Job.fence == fence,
            Job.send_status.in_([SendStatus.COMMITTING, SendStatus.IN_DOUBT]),
        )
    ).one_or_none()
    if row is None or row.queued_at is None:
        return None
    return Found(row.id, row.version_id, row.send_status, row.attempt_count, row.queued_at)


def apply_reply(
    session: Session,
    tenant_id: UUID,
    found: Found,
    fence: int,
    event: Event,
    outcome: AttemptOutcome | None,
    *,
    reply: Reply,
    at: datetime,
    due_at: datetime | None,
    append_pending: bool,
) -> bool:
    """Replay a journalled reply onto its job."""
    values: dict[str, Any] = {
        "send_status": target_of(event),
        "worker": None,
        "lease_until": None,
        "due_at": due_at,
        "last_code": reply.code,
        "last_reply": reply.text,
        "last_error": None,
    }
    if target_of(event) is SendStatus.SENT:
        values["sent_at"] = at
        values["imap_status"] = ImapStatus.PENDING if append_pending else ImapStatus.NOT_REQUESTED
    won = _moved(
        session.execute(
            update(Job)
            .where(
                Job.tenant_id == tenant_id,
                Job.id == found.id,
                Job.fence == fence,
                Job.send_status == found.send_status,
            )
            .values(**values)
            .execution_options(synchronize_session=False)
        )
    )
    if won:
        session.execute(
            update(SendAttempt)
            .where(
                SendAttempt.tenant_id == tenant_id,
                SendAttempt.job_id == found.id,
                SendAttempt.fence == fence,
            )
            .values(replied_at=at, outcome=outcome, code=reply.code, reply=reply.text)
            .execution_options(synchronize_session=False)
        )
    return bool(won)


def expire(
    session: Session, tenant_id: UUID, *, now: datetime, dead_worker: str | None
) -> tuple[int, int]:
    """Take back what a dead worker held, or (with None) every lease that has run out.

    What was only claimed is queued again, its try `abandoned`. What was committing is in doubt.
    Returns how many of each.
    """
    lapsed = (
        Job.worker == dead_worker
        if dead_worker is not None
        else or_(Job.lease_until < now, Job.lease_until.is_(None))
    )
    claimed = (
        Job.tenant_id == tenant_id,
        Job.send_status.in_(sources_of(Event.EXPIRE_CLAIM)),
        lapsed,
    )
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
            ).where(*claimed),
        )
    )
    queued = _moved(
        session.execute(
            update(Job)
            .where(*claimed)
            .values(send_status=target_of(Event.EXPIRE_CLAIM), worker=None, lease_until=None)
            .execution_options(synchronize_session=False)
        )
    )
    in_doubt = _moved(
        session.execute(
            update(Job)
            .where(
                Job.tenant_id == tenant_id,
                Job.send_status.in_(sources_of(Event.LOSE)),
                lapsed,
            )
            .values(
                send_status=target_of(Event.LOSE),
                worker=None,
                lease_until=None,
                last_code=None,
                last_reply=None,
                last_error="The sender stopped before the server's answer was known.",
            )
            .execution_options(synchronize_session=False)
        )
    )
    if in_doubt:
        _mark_unknown(session, tenant_id)
    return queued, in_doubt


def _mark_unknown(session: Session, tenant_id: UUID) -> None:
    """Attempts of jobs that are in doubt and have no outcome yet are unknown."""
    session.execute(
        update(SendAttempt)
        .where(
            SendAttempt.tenant_id == tenant_id,
            SendAttempt.outcome.is_(None),
            SendAttempt.job_id.in_(
                select(Job.id).where(
                    Job.tenant_id == tenant_id, Job.send_status == SendStatus.IN_DOUBT
                )
            ),
        )
        .values(outcome=AttemptOutcome.UNKNOWN)
        .execution_options(synchronize_session=False)
    )


def _insert_attempt(
    session: Session, tenant_id: UUID, job: Claimed, *, worker: str, **values: Any
) -> None:
    number = (
        select(func.coalesce(func.max(SendAttempt.number), 0) + 1)
        .where(SendAttempt.tenant_id == tenant_id, SendAttempt.job_id == job.id)
        .scalar_subquery()
    )
    session.execute(
        insert(SendAttempt).values(
            tenant_id=tenant_id,
            job_id=job.id,
            number=number,
            fence=job.fence,
            worker=worker,
            claimed_at=job.claimed_at,
            **values,
        )
    )


def _outcome(outcome: AttemptOutcome) -> Any:
    return bindparam("outcome", outcome, type_=SendAttempt.outcome.type)


def _as_json(recipients: Sequence[RecipientReply]) -> list[dict[str, Any]]:
    return [
        {"address": each.address, "code": each.reply.code, "text": each.reply.text}
        for each in recipients
    ]


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


def _moved(result: Any) -> int:
    """How many rows a statement changed."""
    assert isinstance(result, CursorResult)
    return result.rowcount
