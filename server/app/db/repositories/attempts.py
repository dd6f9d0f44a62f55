"""How a try to send ends, row by row: each move is one compare-and-set from the table of moves.

Every statement names its tenant, compares state and fence, and says whether it won.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from app.db.models import AttemptOutcome, Job, SendAttempt
from app.db.repositories.delivery import Claimed, moved, not_paused
from app.mailer.domain.delivery.job import Event, ImapStatus, SendStatus, sources_of, target_of
from app.mailer.domain.storable import clean_text
from app.mailer.ports import RecipientReply, Reply, Stage

#: Characters of a server's words that are kept, for each letter and each of its recipients.
_LONGEST_WORDS = 1_000


@dataclass(frozen=True, slots=True)
class Attempted:
    """How one try ended, for the job and its `send_attempts` row.

    Without an `outcome` no server was asked: it is no attempt. `counts`: whether it is one of the
    message's tries, which a complaint about the pace or the account is not.
    """

    event: Event
    outcome: AttemptOutcome | None
    stage: Stage
    reply: Reply | None = None
    recipients: Sequence[RecipientReply] = ()
    error: str | None = None
    due_at: datetime | None = None
    counts: bool = True


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

    False where the job is no longer this worker's: another took it, or a person cancelled it; and
    where the campaign was paused, which leaves it this worker's to give back.
    """
    won = moved(
        session.execute(
            update(Job)
            .where(
                Job.tenant_id == tenant_id,
                Job.id == job.id,
                Job.send_status.in_(sources_of(Event.COMMIT)),
                Job.fence == job.fence,
                Job.worker == worker,
                not_paused(tenant_id, job.version_id),
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
        "last_reply": _kept(attempted.reply.text) if attempted.reply else None,
        "last_error": _kept(attempted.error) if attempted.error else None,
    }
    if committed and not attempted.counts:
        values["attempt_count"] = Job.attempt_count - 1
    elif not committed and attempted.counts and attempted.outcome is not None:
        values["attempt_count"] = Job.attempt_count + 1
    if attempted.event is Event.ACCEPTED:
        values |= _sent(now, append_pending)
    won = moved(
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
        "reply": _kept(attempted.reply.text if attempted.reply else attempted.error or ""),
    }
    if committed:
        _end_attempt(session, tenant_id, job.id, job.fence, **outcome)
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
    counts: bool,
    append_pending: bool,
) -> bool:
    """Replay a journalled reply onto its job; `counts` as in `Attempted`."""
    values: dict[str, Any] = {
        "send_status": target_of(event),
        "worker": None,
        "lease_until": None,
        "due_at": due_at,
        "last_code": reply.code,
        "last_reply": _kept(reply.text),
        "last_error": None,
    }
    if not counts:
        values["attempt_count"] = Job.attempt_count - 1
    if target_of(event) is SendStatus.SENT:
        values |= _sent(at, append_pending)
    won = moved(
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
        _end_attempt(
            session,
            tenant_id,
            found.id,
            fence,
            replied_at=at,
            outcome=outcome,
            code=reply.code,
            reply=_kept(reply.text),
        )
    return bool(won)


def _sent(at: datetime, append_pending: bool) -> dict[str, Any]:
    """What else changes in a job whose message was accepted."""
    return {
        "sent_at": at,
        "imap_status": ImapStatus.PENDING if append_pending else ImapStatus.NOT_REQUESTED,
    }


def _end_attempt(
    session: Session, tenant_id: UUID, job_id: UUID, fence: int, **values: Any
) -> None:
    """Complete the attempt that `commit_to_send` began under this fence."""
    session.execute(
        update(SendAttempt)
        .where(
            SendAttempt.tenant_id == tenant_id,
            SendAttempt.job_id == job_id,
            SendAttempt.fence == fence,
        )
        .values(**values)
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


def _as_json(recipients: Sequence[RecipientReply]) -> list[dict[str, Any]]:
    return [
        {
            "address": each.address,
            "code": each.reply.code,
            "text": _kept(each.reply.text),
        }
        for each in recipients
    ]


def _kept(text: str) -> str:
    """A server's words, as many of them as anybody reads."""
    return clean_text(text[:_LONGEST_WORDS])
