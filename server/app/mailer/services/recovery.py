"""What a reply means for its job, and cleaning up after workers that died."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.db.models import AttemptOutcome
from app.db.repositories import appending, attempts, leases
from app.db.repositories.attempts import Attempted
from app.failpoints import failpoint
from app.mailer.domain.delivery.job import Event, SendStatus, target_of
from app.mailer.domain.delivery.replies import Outcome, Verdict, classify
from app.mailer.domain.delivery.retry import RetryPolicy
from app.mailer.ports import (
    AbandonedJournal,
    Clock,
    Journal,
    JournalRecord,
    Reply,
    Stage,
    TransportFailure,
)


class Terms(Protocol):
    """What recovery has to know of a version's delivery."""

    @property
    def retry(self) -> RetryPolicy: ...
    @property
    def append_sent(self) -> bool: ...


class Queued(Protocol):
    @property
    def queued_at(self) -> datetime: ...


def settled(
    verdict: Verdict,
    job: Queued,
    tries: int,
    now: datetime,
    terms: Terms,
    failure: TransportFailure | None = None,
    reply: Reply | None = None,
) -> Attempted:
    """What a verdict does to a job, this try being its `tries`th.

    `failure` is what ended the conversation before the dot; else `reply` answered the dot. A
    complaint about the pace or a refusal of the account is no fault of the letter's: it waits like
    one that was put off, and the try does not count; only its age ends that.
    """
    due_at = None
    counts = not (verdict.slow_down or verdict.outcome is Outcome.ACCOUNT)
    match verdict.outcome:
        case Outcome.ACCEPTED:
            event, outcome = Event.ACCEPTED, AttemptOutcome.ACCEPTED
        case Outcome.REJECTED:
            event, outcome = Event.REJECTED, AttemptOutcome.REJECTED
        case Outcome.DEFERRED | Outcome.ACCOUNT:
            due_at = terms.retry.next_due(tries if counts else tries - 1, job.queued_at, now)
            event = Event.DEFERRED if due_at else Event.GIVE_UP
            outcome = AttemptOutcome.DEFERRED
        case _:
            event, outcome = Event.LOSE, AttemptOutcome.UNKNOWN
    if failure is not None:
        return Attempted(
            event,
            outcome,
            failure.stage,
            reply=failure.reply,
            recipients=failure.recipients,
            error=failure.message,
            due_at=due_at,
            counts=counts,
        )
    return Attempted(event, outcome, Stage.DOT, reply=reply, due_at=due_at, counts=counts)


@dataclass(frozen=True, slots=True)
class Recovered:
    """Replies replayed from journals, jobs queued again, jobs now in doubt."""

    replayed: int = 0
    queued: int = 0
    in_doubt: int = 0

    def __add__(self, other: Recovered) -> Recovered:
        return Recovered(
            self.replayed + other.replayed,
            self.queued + other.queued,
            self.in_doubt + other.in_doubt,
        )

    def __bool__(self) -> bool:
        return bool(self.replayed or self.queued or self.in_doubt)


def recover_dead(
    sessions: sessionmaker[Session],
    tenant_id: UUID,
    abandoned: Iterable[AbandonedJournal],
    *,
    clock: Clock,
    terms_of: Callable[[Session, UUID], Terms],
) -> Recovered:
    """Clean up after the dead of this machine: replay their journals, take back what they held.

    A worker whose journal is unlocked is dead, so its leases need not run out first. Everything
    here can be interrupted and done again: a journal goes only when the database has it all.
    `terms_of` tells a version's retry policy.
    """
    total = Recovered()
    for dead in abandoned:
        failpoint("recover_before_replay")
        total += _take_over(sessions, tenant_id, dead, clock, terms_of)
        failpoint("recover_before_discard")
        dead.discard()
    return total


def recover(
    sessions: sessionmaker[Session],
    tenant_id: UUID,
    *,
    journal: Journal,
    clock: Clock,
    terms_of: Callable[[Session, UUID], Terms],
) -> Recovered:
    """As `recover_dead`; and what any worker held longer than its lease is taken back, too."""
    total = recover_dead(sessions, tenant_id, journal.abandoned(), clock=clock, terms_of=terms_of)
    with sessions() as session:
        queued, in_doubt = leases.expire(session, tenant_id, now=clock.now(), dead_worker=None)
        session.commit()
    return total + Recovered(queued=queued, in_doubt=in_doubt)


def _take_over(
    sessions: sessionmaker[Session],
    tenant_id: UUID,
    dead: AbandonedJournal,
    clock: Clock,
    terms_of: Callable[[Session, UUID], Terms],
) -> Recovered:
    with sessions() as session:
        replayed = replay_all(session, tenant_id, dead.records(), terms_of)
        failpoint("recover_before_expire")
        dots = dead.dots()
        queued, in_doubt = leases.expire(
            session, tenant_id, now=clock.now(), dead_worker=dead.worker, dots=dots
        )
        if dots is not None:
            queued += leases.clear_doubts(session, tenant_id, worker=dead.worker, dots=dots)
        appending.free_leases_of(session, tenant_id, dead.worker)
        session.commit()
    return Recovered(replayed, queued, in_doubt)


def replay_all(
    session: Session,
    tenant_id: UUID,
    records: Iterable[JournalRecord],
    terms_of: Callable[[Session, UUID], Terms],
) -> int:
    """Replay journalled replies; how many jobs heard of theirs only now."""
    return sum(
        replay(session, tenant_id, record, lambda version: terms_of(session, version)) is not None
        for record in records
    )


def replay(
    session: Session,
    tenant_id: UUID,
    record: JournalRecord,
    terms_of: Callable[[UUID], Terms],
) -> SendStatus | None:
    """Apply one journalled reply to its job, if it still waits for it or is in doubt.

    Returns where the job is now, or None where the reply told nothing new.
    """
    found = attempts.find_for_reply(session, tenant_id, record.job_id, record.fence)
    if found is None:
        return None
    terms = terms_of(found.version_id)
    reply = Reply(record.code, record.text)
    attempted = settled(classify(reply), found, found.attempt_count, record.at, terms, reply=reply)
    event = attempted.event
    if found.send_status is SendStatus.IN_DOUBT:
        if event is Event.LOSE:
            return None
        # Evidence: it was taken, or it was refused. A "not now" is a refusal by now.
        event = Event.FIND_EVIDENCE if event is Event.ACCEPTED else Event.FIND_REFUSAL
    won = attempts.apply_reply(
        session,
        tenant_id,
        found,
        record.fence,
        event,
        attempted.outcome,
        reply=reply,
        at=record.at,
        due_at=attempted.due_at if event is Event.DEFERRED else None,
        counts=attempted.counts,
        append_pending=terms.append_sent,
    )
    return target_of(event) if won else None
