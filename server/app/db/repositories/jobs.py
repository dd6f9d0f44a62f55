"""Queries about jobs outside the engine: stored in bulk, listed, counted, decided on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from app.db.models import Job, JobAttachment, JobIssue, JobMessage
from app.db.repositories import issues as issue_rows
from app.db.repositories.bulk import insert_rows
from app.mailer.domain.delivery.job import Decision, Event, ImapStatus, SendStatus, sources_of
from app.mailer.domain.errors import Conflict, NotFound
from app.mailer.domain.issues import EntryState, Issue

#: Rows for one statement; more of them gain nothing and hold memory.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """A file of a message: which rule took it, where from (relative to the base), and its blob.

    `archive` names the archive that it travels in, if it does.
    """

    rule: str
    path: str
    filename: str
    media_type: str
    size: int
    sha256: str
    archive: str | None = None
    is_personal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job as the build makes it. Without a message, `frame` to `sha256` are absent."""

    id: UUID
    position: int
    entry_id: str
    pointer: str
    build_status: EntryState
    recipients: Sequence[str] = ()
    to_display: str = ""
    subject: str = ""
    envelope_from: str | None = None
    message_id: str | None = None
    message_date: datetime | None = None
    needs_smtputf8: bool = False
    size: int | None = None
    sha256: str | None = None
    content_sha256: str | None = None
    frame: bytes | None = None
    source_row: Sequence[str] | None = None
    imap_status: ImapStatus = ImapStatus.NOT_REQUESTED
    issues: Sequence[Issue] = ()
    attachments: Sequence[NewAttachment] = ()


@dataclass(frozen=True, slots=True)
class JobCounts:
    """The jobs of a version, counted along each axis. `undecided` still need a person's yes."""

    total: int
    build: Counter[EntryState]
    send: Counter[SendStatus]
    imap: Counter[ImapStatus]
    decision: Counter[Decision]
    undecided: int


def add_all(
    session: Session, tenant_id: UUID, campaign_id: UUID, version_id: UUID, jobs: Iterable[NewJob]
) -> int:
    """Stores jobs with their messages, issues and attachments, and returns how many they were.

    `jobs` may be a generator: a thousand are held at a time.
    """
    source = iter(jobs)
    stored = 0
    while chunk := list(islice(source, _CHUNK)):
        insert_rows(session, Job, [_job(tenant_id, campaign_id, version_id, j) for j in chunk])
        insert_rows(
            session,
            JobMessage,
            [
                {"job_id": job.id, "tenant_id": tenant_id, "frame": job.frame}
                for job in chunk
                if job.frame is not None
            ],
        )
        insert_rows(
            session,
            JobIssue,
            [
                issue_rows.row(tenant_id, version_id, issue, job.id, job.position)
                for job in chunk
                for issue in job.issues
            ],
        )
        insert_rows(
            session,
            JobAttachment,
            [
                _attachment(tenant_id, job.id, position, attachment)
                for job in chunk
                for position, attachment in enumerate(job.attachments)
            ],
        )
        stored += len(chunk)
    return stored


def delete_unqueued(session: Session, tenant_id: UUID, version_id: UUID) -> int:
    """Deletes the jobs of a version before it is built anew, and returns how many they were.

    `Conflict` where one of them was ever queued: what may have been sent is never forgotten.
    """
    own = (Job.tenant_id == tenant_id, Job.version_id == version_id)
    # The status stands in the DELETE itself, so that one queued meanwhile is not swept away.
    deleted = session.execute(
        delete(Job)
        .where(*own, Job.send_status == SendStatus.UNQUEUED, Job.queued_at.is_(None))
        .execution_options(synchronize_session=False)
    )
    refuse_queued(session, tenant_id, version_id)
    assert isinstance(deleted, CursorResult)
    return deleted.rowcount


def refuse_queued(session: Session, tenant_id: UUID, version_id: UUID) -> None:
    """`Conflict` where a job of the version was ever queued: then it is never built again."""
    own = (Job.tenant_id == tenant_id, Job.version_id == version_id)
    released = or_(Job.send_status != SendStatus.UNQUEUED, Job.queued_at.is_not(None))
    if session.scalar(select(exists().where(*own, released))):
        raise Conflict(
            "This version was queued already, so it cannot be built again.",
            "Make a new version of the campaign, and build that.",
        )


def get(session: Session, tenant_id: UUID, job_id: UUID) -> Job:
    job = session.scalar(select(Job).where(Job.tenant_id == tenant_id, Job.id == job_id))
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def get_by_entry(session: Session, tenant_id: UUID, version_id: UUID, entry_id: str) -> Job:
    job = session.scalar(
        select(Job).where(
            Job.tenant_id == tenant_id, Job.version_id == version_id, Job.entry_id == entry_id
        )
    )
    if job is None:
        raise NotFound(f"This version has no entry {entry_id!r}.")
    return job


def page(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    *,
    after: int = -1,
    limit: int = 100,
    build_status: Collection[EntryState] | None = None,
    send_status: Collection[SendStatus] | None = None,
    imap_status: Collection[ImapStatus] | None = None,
    undecided: bool = False,
) -> Sequence[Job]:
    """The next `limit` jobs behind position `after`, in order; the last one's is the next `after`.

    `undecided`: only those that nobody has accepted or excluded.
    """
    query = select(Job).where(
        Job.tenant_id == tenant_id, Job.version_id == version_id, Job.position > after
    )
    if build_status is not None:
        query = query.where(Job.build_status.in_(build_status))
    if send_status is not None:
        query = query.where(Job.send_status.in_(send_status))
    if imap_status is not None:
        query = query.where(Job.imap_status.in_(imap_status))
    if undecided:
        query = query.where(Job.decision.is_(None))
    return session.scalars(query.order_by(Job.position).limit(limit)).all()


def counts(session: Session, tenant_id: UUID, version_id: UUID) -> JobCounts:
    """All counts of a version in one statement."""
    found = JobCounts(0, Counter(), Counter(), Counter(), Counter(), 0)
    total = undecided = 0
    axes = (Job.build_status, Job.send_status, Job.imap_status, Job.decision)
    rows = session.execute(
        select(*axes, func.count())
        .where(Job.tenant_id == tenant_id, Job.version_id == version_id)
        .group_by(*axes)
    )
    for build, send, imap, decision, count in rows:
        total += count
        found.build[build] += count
        found.send[send] += count
        found.imap[imap] += count
        if decision is not None:
            found.decision[decision] += count
        elif build is EntryState.NEEDS_REVIEW:
            undecided += count
    return JobCounts(total, found.build, found.send, found.imap, found.decision, undecided)


def decide(
    session: Session,
    tenant_id: UUID,
    job_ids: Sequence[UUID],
    decision: Decision,
    *,
    among: Collection[EntryState],
    reason: str,
    by: str,
    now: datetime,
) -> Sequence[UUID]:
    """Records a person's decision on jobs, and returns the ids of those that took it.

    Others are left as they are: not the tenant's, of a build status not in `among`, or in a send
    status from which nobody could queue them any more.
    """
    decided: list[UUID] = []
    for start in range(0, len(job_ids), _CHUNK):
        decided += session.scalars(
            update(Job)
            .where(
                Job.tenant_id == tenant_id,
                Job.id.in_(job_ids[start : start + _CHUNK]),
                Job.build_status.in_(among),
                Job.send_status.in_(sources_of(Event.QUEUE)),
            )
            .values(decision=decision, decision_reason=reason, decided_by=by, decided_at=now)
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        )
    return decided


def attachments_of(
    session: Session, tenant_id: UUID, job_ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[JobAttachment]]:
    """The attachments of some jobs (a page of them), by job and in order."""
    found: dict[UUID, list[JobAttachment]] = {job_id: [] for job_id in job_ids}
    query = select(JobAttachment).where(
        JobAttachment.tenant_id == tenant_id, JobAttachment.job_id.in_(job_ids)
    )
    for attachment in session.scalars(query.order_by(JobAttachment.job_id, JobAttachment.position)):
        found[attachment.job_id].append(attachment)
    return found


def _job(tenant_id: UUID, campaign_id: UUID, version_id: UUID, job: NewJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "tenant_id": tenant_id,
        "campaign_id": campaign_id,
        "version_id": version_id,
        "position": job.position,
        "entry_id": job.entry_id,
        "pointer": job.pointer,
        "build_status": job.build_status,
        "imap_status": job.imap_status,
        "envelope_from": job.envelope_from,
        "recipients": list(job.recipients),
        "to_display": job.to_display,
        "subject": job.subject,
        "search_text": _search_text(job),
        "file_count": len(job.attachments),
        "message_id": job.message_id,
        "needs_smtputf8": job.needs_smtputf8,
        "message_date": job.message_date,
        "size": job.size,
        "sha256": job.sha256,
        "content_sha256": job.content_sha256,
        "source_row": None if job.source_row is None else list(job.source_row),
    }


def _search_text(job: NewJob) -> str:
    parts = dict.fromkeys([job.entry_id, job.to_display, *job.recipients, job.subject])
    return "\n".join(parts).casefold()


def _attachment(
    tenant_id: UUID, job_id: UUID, position: int, attachment: NewAttachment
) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "job_id": job_id,
        "position": position,
        "rule": attachment.rule,
        "path": attachment.path,
        "filename": attachment.filename,
        "media_type": attachment.media_type,
        "size": attachment.size,
        "sha256": attachment.sha256,
        "archive": attachment.archive,
        "is_personal": attachment.is_personal,
    }
