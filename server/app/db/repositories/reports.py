"""Counts and lists for reports: one statement each, however many jobs there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, case, func, or_, select
from sqlalchemy.orm import Session

from app.db.models import (
    AppendAttemptOutcome,
    AttemptOutcome,
    CampaignVersion,
    ImapAppendAttempt,
    Job,
    JobAttachment,
    JobIssue,
    SendAttempt,
)
from app.db.repositories.queueing import Gate, sent_elsewhere
from app.mailer.domain.delivery.job import OPEN, Decision, Event, SendStatus, sources_of
from app.mailer.domain.issues import EntryState, Severity
from app.mailer.domain.report import JobGroup
from app.mailer.domain.rest import Rest


@dataclass(frozen=True, slots=True)
class AttachmentTotals:
    """Files as recipients see them, `in_archives` apart; sizes in bytes before encoding."""

    messages_with_attachments: int
    files: int
    bytes: int
    distinct_files: int
    in_archives: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """A job that did not go out as it should, with what the server said last."""

    entry_id: str
    to: str
    send_status: SendStatus
    code: int | None
    reply: str | None
    error: str | None
    message_id: str | None
    attempts: int
    #: In doubt: how often it was looked for in the Sent folder and not found, and when last.
    look_count: int
    looked_at: datetime | None
    at: datetime | None


def job_groups(session: Session, gate: Gate) -> list[JobGroup]:
    """The jobs of a version, counted by all axes at once."""
    before = case(
        (and_(Job.send_status == SendStatus.UNQUEUED, sent_elsewhere(gate)), 1), else_=0
    ).label("sent_before")
    axes = (Job.build_status, Job.decision, Job.send_status, Job.imap_status)
    rows = session.execute(
        select(*axes, before, func.count(), func.min(Job.due_at))
        .where(Job.tenant_id == gate.tenant_id, Job.version_id == gate.version_id)
        .group_by(*axes, before)
    )
    claimable = sources_of(Event.CLAIM)
    return [
        JobGroup(build, decision, send, imap, bool(sent), count, due if send in claimable else None)
        for build, decision, send, imap, sent, count, due in rows
    ]


def attachment_totals(session: Session, tenant_id: UUID, version_id: UUID) -> AttachmentTotals:
    outer = JobAttachment.archive.is_(None)
    row = session.execute(
        select(
            func.count(JobAttachment.job_id.distinct()),
            func.count(case((outer, 1))),
            func.coalesce(func.sum(case((outer, JobAttachment.size))), 0),
            func.count(case((outer, JobAttachment.sha256)).distinct()),
            func.count(case((~outer, 1))),
        )
        .join(Job, Job.id == JobAttachment.job_id)
        .where(JobAttachment.tenant_id == tenant_id, *_own(tenant_id, version_id))
    ).one()
    return AttachmentTotals(*map(int, row))


def issue_counts(
    session: Session, tenant_id: UUID, version_id: UUID
) -> list[tuple[str, Severity, int]]:
    """How often each code occurs with each severity, the most frequent first."""
    number = func.count().label("number")
    rows = session.execute(
        select(JobIssue.code, JobIssue.severity, number)
        .where(JobIssue.tenant_id == tenant_id, JobIssue.version_id == version_id)
        .group_by(JobIssue.code, JobIssue.severity)
        .order_by(number.desc(), JobIssue.code, JobIssue.severity)
    )
    return [(code, severity, count) for code, severity, count in rows]


def send_attempts(
    session: Session, tenant_id: UUID, version_id: UUID
) -> Counter[AttemptOutcome | None]:
    """All tries to send, by outcome; None for those that are running."""
    rows = session.execute(
        select(SendAttempt.outcome, func.count())
        .join(Job, Job.id == SendAttempt.job_id)
        .where(SendAttempt.tenant_id == tenant_id, *_own(tenant_id, version_id))
        .group_by(SendAttempt.outcome)
    )
    return Counter(dict(rows.all()))


def append_attempts(
    session: Session, tenant_id: UUID, version_id: UUID
) -> Counter[AppendAttemptOutcome | None]:
    """All tries to file a copy, by outcome; None for those that are running."""
    rows = session.execute(
        select(ImapAppendAttempt.outcome, func.count())
        .join(Job, Job.id == ImapAppendAttempt.job_id)
        .where(ImapAppendAttempt.tenant_id == tenant_id, *_own(tenant_id, version_id))
        .group_by(ImapAppendAttempt.outcome)
    )
    return Counter(dict(rows.all()))


def trouble(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    statuses: Collection[SendStatus],
    *,
    limit: int | None = None,
) -> list[Trouble]:
    """The jobs in `statuses`, the most recent try first, at most `limit` (None: all)."""
    last = (
        select(
            SendAttempt.job_id,
            func.max(func.coalesce(SendAttempt.replied_at, SendAttempt.claimed_at)).label("at"),
        )
        .join(Job, Job.id == SendAttempt.job_id)
        .where(*_own(tenant_id, version_id), Job.send_status.in_(statuses))
        .group_by(SendAttempt.job_id)
        .subquery()
    )
    at = func.coalesce(last.c.at, Job.claimed_at)
    rows = session.execute(
        select(
            Job.entry_id,
            Job.to_display,
            Job.send_status,
            Job.last_code,
            Job.last_reply,
            Job.last_error,
            Job.message_id,
            Job.attempt_count,
            Job.look_count,
            Job.looked_at,
            at,
        )
        .outerjoin(last, last.c.job_id == Job.id)
        .where(*_own(tenant_id, version_id), Job.send_status.in_(statuses))
        .order_by(at.desc().nulls_last(), Job.position)
        .limit(limit)
    )
    return [Trouble(*row) for row in rows]


#: Of a job, what its row in a report shows; whole entities would take four times as long.
_SHOWN: tuple[Any, ...] = (
    Job.id,
    Job.position,
    Job.entry_id,
    Job.pointer,
    Job.to_display,
    Job.subject,
    Job.build_status,
    Job.decision,
    Job.decided_by,
    Job.decided_at,
    Job.decision_reason,
    Job.send_status,
    Job.imap_status,
    Job.attempt_count,
    Job.last_code,
    Job.last_reply,
    Job.last_error,
    Job.queued_at,
    Job.sent_at,
    Job.message_id,
    Job.size,
    Job.sha256,
)


def job_page(
    session: Session, tenant_id: UUID, version_id: UUID, *, after: int, limit: int
) -> Sequence[Row[Any]]:
    """What is shown of the next jobs behind position `after`, in order."""
    query = select(*_SHOWN).where(*_own(tenant_id, version_id), Job.position > after)
    return session.execute(query.order_by(Job.position).limit(limit)).all()


def codes_of(session: Session, tenant_id: UUID, job_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """The codes found in some jobs, each once, in the order in which they were found."""
    rows = session.execute(
        select(JobIssue.job_id, JobIssue.code)
        .where(JobIssue.tenant_id == tenant_id, JobIssue.job_id.in_(job_ids))
        .order_by(JobIssue.id)
    )
    found: dict[UUID, dict[str, None]] = {}
    for job_id, code in rows:
        assert job_id is not None
        found.setdefault(job_id, {})[code] = None
    return {job_id: list(codes) for job_id, codes in found.items()}


def files_of(session: Session, tenant_id: UUID, job_ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """The names of the files of some jobs, each behind that of the archive that it travels in."""
    rows = session.execute(
        select(JobAttachment.job_id, JobAttachment.archive, JobAttachment.filename)
        .where(JobAttachment.tenant_id == tenant_id, JobAttachment.job_id.in_(job_ids))
        .order_by(JobAttachment.job_id, JobAttachment.position)
    )
    found: dict[UUID, list[str]] = {}
    for job_id, archive, filename in rows:
        found.setdefault(job_id, []).append(
            filename if archive is None else f"{archive}/{filename}"
        )
    return found


@dataclass(frozen=True, slots=True)
class RestJob:
    """A job that belongs to the rest, with the row that it came from."""

    position: int
    entry_id: str
    to: str
    pointer: str
    source_row: list[str] | None


def rest_page(
    session: Session, gate: Gate, wanted: Collection[Rest], *, after: int, limit: int
) -> list[RestJob]:
    """The next jobs behind position `after` that nobody was, or is about to be, reached by."""
    rows = session.execute(
        select(Job.position, Job.entry_id, Job.to_display, Job.pointer, Job.source_row)
        .where(
            *_own(gate.tenant_id, gate.version_id),
            Job.position > after,
            or_(*(_REST[each] for each in sorted(wanted))),
            ~sent_elsewhere(gate),
        )
        .order_by(Job.position)
        .limit(limit)
    )
    return [RestJob(*row) for row in rows]


_ON_PURPOSE = or_(
    Job.build_status.in_((EntryState.EXCLUDED, EntryState.INACTIVE)),
    Job.decision.is_not_distinct_from(Decision.EXCLUDE),
)
_UNSENT = Job.send_status.in_((SendStatus.UNQUEUED, SendStatus.CANCELLED))
_REST = {
    Rest.FAILED: Job.send_status == SendStatus.FAILED,
    Rest.NEVER_SENT: and_(_UNSENT, ~_ON_PURPOSE),
    Rest.LEFT_OUT: and_(_UNSENT, _ON_PURPOSE),
}


def waiting_elsewhere(
    session: Session, tenant_id: UUID, campaign_id: UUID, version_id: UUID
) -> int:
    """How many letters of the campaign's other versions still wait to be sent."""
    counted = select(func.count()).where(
        Job.tenant_id == tenant_id,
        Job.campaign_id == campaign_id,
        Job.version_id != version_id,
        Job.send_status.in_(OPEN),
    )
    return session.scalar(counted) or 0


def versions(
    session: Session, tenant_id: UUID, campaign_id: UUID
) -> Sequence[tuple[CampaignVersion, Counter[SendStatus]]]:
    """Every version of a campaign, newest first, with its jobs by send status."""
    rows = session.execute(
        select(CampaignVersion, Job.send_status, func.count(Job.id))
        .outerjoin(Job, Job.version_id == CampaignVersion.id)
        .where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.campaign_id == campaign_id)
        .group_by(CampaignVersion.id, Job.send_status)
        .order_by(CampaignVersion.number.desc())
    )
    found: dict[UUID, tuple[CampaignVersion, Counter[SendStatus]]] = {}
    for version, status, count in rows:
        _version, counted = found.setdefault(version.id, (version, Counter()))
        if status is not None:
            counted[status] += count
    return list(found.values())


def _own(tenant_id: UUID, version_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return (Job.tenant_id == tenant_id, Job.version_id == version_id)
