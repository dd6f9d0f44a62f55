"""How a try to send ends, row by row: each move is one compare-and-set from the table of moves.

Every statement names its tenant, compares state and fence, and says whether it won.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, func, insert, or_, select, update
from sqlalchemy.orm import Session

from app.db.locking import await_pause
from app.db.models import AttemptOutcome, Job, SendAttempt
from app.db.repositories.delivery import Claimed, moved, not_paused, still
from app.mailer.domain.delivery.job import Event, ImapStatus, SendStatus, sources_of, target_of
from app.mailer.domain.storable import clean_text
from app.mailer.ports import RecipientReply, Reply, Stage

#: Characters of a server's words that are kept, for each letter and each of its recipients.
_LONGEST_WORDS = 1_000


@dataclass(frozen=True, slots=True)
class Attempted:
    """How one try ended, for the job and its `send_attempts` row.

    Without an `outcome` no server was asked: it is no attempt. `counts`: whether it is one of the
    message's tries, which a complaint about the pace or the account is not. `committed`: whether
    the job was past the point of no return.
    """

    event: Event
    outcome: AttemptOutcome | None
    stage: Stage
    reply: Reply | None = None
    recipients: Sequence[RecipientReply] = ()
    error: str | None = None
    due_at: datetime | None = None
    counts: bool = True
    committed: bool = False
    data_started_at: datetime | None = None


def commit_to_send(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    jobs: Sequence[Claimed],
    *,
    worker: str,
    lease_until: datetime,
) -> set[UUID]:
    """The one statement after which the closing dots may leave, once it is committed.

    The jobs, all of one version, for which it is so. Missing are those that are no longer this
    worker's: another took it, or a person cancelled it; and all of them where the campaign is
    paused, which leaves them this worker's to give back.
    """
    await_pause(session, campaign_id)
    return set(
        session.scalars(
            update(Job)
            .where(
                *still(tenant_id, jobs),
                Job.send_status.in_(sources_of(Event.COMMIT)),
                Job.worker == worker,
                not_paused(tenant_id, jobs[0].version_id),
            )
            .values(
                send_status=target_of(Event.COMMIT),
                lease_until=lease_until,
                attempt_count=Job.attempt_count + 1,
            )
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        )
    )


def renew(
    session: Session, tenant_id: UUID, jobs: Sequence[Claimed], *, worker: str, until: datetime
) -> set[UUID]:
    """Keep jobs that are past the point of no return for longer; those that are still held."""
    return set(
        session.scalars(
            update(Job)
            .where(
                *still(tenant_id, jobs),
                Job.send_status == target_of(Event.COMMIT),
                Job.worker == worker,
            )
            .values(lease_until=until)
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        )
    )


@dataclass(frozen=True, slots=True)
class Settled:
    """How a try of one job ended, and when, to be written down."""

    job: Claimed
    attempted: Attempted
    at: datetime


_job_t, _attempt_t = cast("Table", Job.__table__), cast("Table", SendAttempt.__table__)


def record_accepted(
    session: Session,
    tenant_id: UUID,
    accepted: Sequence[Settled],
    *,
    worker: str,
    append_pending: bool,
) -> bool:
    """Write down that messages were taken, all at once.

    False where one had moved on without this worker: then the caller rolls back, and takes them
    one by one.
    """
    connection = session.connection()
    result = connection.execute(
        _ACCEPT,
        [
            {
                "its_tenant": tenant_id,
                "its_id": each.job.id,
                "its_fence": each.job.fence,
                "its_code": _code(each.attempted),
                "its_reply": _words(each.attempted),
                **{f"its_{name}": value for name, value in _sent(each.at, append_pending).items()},
            }
            for each in accepted
        ],
    )
    if moved(result) != len(accepted):
        return False
    connection.execute(
        _ATTEMPT,
        [
            {"its_tenant": tenant_id, "its_job": each.job.id, **_attempt(tenant_id, each, worker)}
            for each in accepted
        ],
    )
    return True


def record(
    session: Session, tenant_id: UUID, settled: Settled, *, worker: str, append_pending: bool
) -> bool:
    """Write down how a try ended. False where the job had moved on without this worker."""
    job, attempted = settled.job, settled.attempted
    committed = attempted.committed
    values: dict[str, Any] = {
        "send_status": target_of(attempted.event),
        "worker": None,
        "lease_until": None,
        "due_at": attempted.due_at,
        "last_code": _code(attempted),
        "last_reply": _kept(attempted.reply.text) if attempted.reply else None,
        "last_error": _kept(attempted.error) if attempted.error else None,
    }
    if committed and not attempted.counts:
        values["attempt_count"] = Job.attempt_count - 1
    elif not committed and attempted.counts and attempted.outcome is not None:
        values["attempt_count"] = Job.attempt_count + 1
    if attempted.event is Event.ACCEPTED:
        values |= _sent(settled.at, append_pending)
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
    if attempted.outcome is not None:
        session.execute(
            insert(SendAttempt).values(
                number=next_number(tenant_id, job.id), **_attempt(tenant_id, settled, worker)
            )
        )
    return True


def _attempt(tenant_id: UUID, settled: Settled, worker: str) -> dict[str, Any]:
    """The row of an attempt, but for its number."""
    job, attempted = settled.job, settled.attempted
    return {
        "tenant_id": tenant_id,
        "job_id": job.id,
        "fence": job.fence,
        "worker": worker,
        "claimed_at": job.claimed_at,
        "data_started_at": attempted.data_started_at,
        "replied_at": settled.at,
        "outcome": attempted.outcome,
        "stage": attempted.stage,
        "code": _code(attempted),
        "reply": _words(attempted),
        "recipient_replies": _as_json(attempted.recipients),
    }


def _code(attempted: Attempted) -> int | None:
    return attempted.reply.code if attempted.reply else None


def _words(attempted: Attempted) -> str:
    """What the server said, or what happened to the way to it."""
    return _kept(attempted.reply.text if attempted.reply else attempted.error or "")


@dataclass(frozen=True, slots=True)
class Found:
    """A job whose reply was found in a journal."""

    id: UUID
    version_id: UUID
    send_status: SendStatus
    attempt_count: int
    queued_at: datetime
    worker: str | None
    claimed_at: datetime | None


def find_for_reply(session: Session, tenant_id: UUID, job_id: UUID, fence: int) -> Found | None:
    """The job that a journalled reply is about, if it still waits to hear of it."""
    row = session.execute(
        select(
            Job.id,
            Job.version_id,
            Job.send_status,
            Job.attempt_count,
            Job.queued_at,
            Job.worker,
            Job.claimed_at,
        ).where(
            Job.tenant_id == tenant_id,
            Job.id == job_id,
            Job.fence == fence,
            Job.send_status.in_([SendStatus.COMMITTING, SendStatus.IN_DOUBT]),
        )
    ).one_or_none()
    if row is None or row.queued_at is None:
        return None
    return Found(
        row.id,
        row.version_id,
        row.send_status,
        row.attempt_count,
        row.queued_at,
        row.worker,
        row.claimed_at,
    )


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
            found,
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
    session: Session, tenant_id: UUID, found: Found, fence: int, **values: Any
) -> None:
    """Write down, or complete, the attempt under this fence, which broke off."""
    known = session.execute(
        update(SendAttempt)
        .where(
            SendAttempt.tenant_id == tenant_id,
            SendAttempt.job_id == found.id,
            SendAttempt.fence == fence,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if not moved(known):
        session.execute(
            insert(SendAttempt).values(
                tenant_id=tenant_id,
                job_id=found.id,
                number=next_number(tenant_id, found.id),
                fence=fence,
                worker=found.worker,
                claimed_at=found.claimed_at,
                stage=Stage.DOT,
                **values,
            )
        )


def next_number(tenant_id: Any, job_id: Any) -> Any:
    """The number of a job's next attempt, for a statement that writes it."""
    return (
        select(func.coalesce(func.max(SendAttempt.number), 0) + 1)
        .where(SendAttempt.tenant_id == tenant_id, SendAttempt.job_id == job_id)
        .scalar_subquery()
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


#: Compiled once: these two are most of what sending asks of the database.
_ACCEPT = (
    update(_job_t)
    .where(
        _job_t.c.tenant_id == bindparam("its_tenant"),
        _job_t.c.id == bindparam("its_id"),
        _job_t.c.fence == bindparam("its_fence"),
        # One by one, since a list of them cannot be part of a statement for many rows.
        or_(*(_job_t.c.send_status == status for status in sources_of(Event.ACCEPTED))),
    )
    .values(
        send_status=target_of(Event.ACCEPTED),
        worker=None,
        lease_until=None,
        due_at=None,
        last_error=None,
        last_code=bindparam("its_code"),
        last_reply=bindparam("its_reply"),
        sent_at=bindparam("its_sent_at"),
        imap_status=bindparam("its_imap_status"),
    )
)
_ATTEMPT = insert(_attempt_t).values(
    number=next_number(bindparam("its_tenant"), bindparam("its_job"))
)
