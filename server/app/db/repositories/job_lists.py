"""Queries behind the lists of jobs: pages by filter and order, and what is shown beside each job.

A page by position, filtered by a status or a code, is read by an index that has all three, so that
one of 100,000 jobs costs what one of 100 does. Searching, and sorting by address, size or time of
sending, look at every job of the version.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, literal, select
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import Job, JobAttachment, JobIssue
from app.db.repositories.queueing import Gate, sent_elsewhere
from app.mailer.domain.delivery.job import Decision, ImapStatus, SendStatus
from app.mailer.domain.errors import NotFound
from app.mailer.domain.issues import EntryState

_NEVER = literal(datetime(1, 1, 1, tzinfo=UTC), Job.sent_at.type)

#: What lists of jobs may be sorted by, and the key, which no two jobs of a version share.
SORTABLE: dict[str, Sortable] = {
    "position": Job.position,
    "entry_id": Job.entry_id,
    "to": Job.to_display,
    "size": func.coalesce(Job.size, 0),
    "build_status": Job.build_status,
    "send_status": Job.send_status,
    "imap_status": Job.imap_status,
    "sent_at": func.coalesce(Job.sent_at, _NEVER),
}
KEY = Job.position


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs of a version; all conditions hold at once.

    `undecided`: those that need a decision and have none. `code`: those with such an issue.
    `search`: a part of the entry's id, of an address or of the subject, in either case.
    """

    build_status: Collection[EntryState] = ()
    send_status: Collection[SendStatus] = ()
    imap_status: Collection[ImapStatus] = ()
    decision: Decision | None = None
    undecided: bool = False
    code: str | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class FirstIssues:
    """How many issues a job has, and the first of them."""

    count: int
    first: Sequence[JobIssue]


@dataclass(frozen=True, slots=True)
class FirstFiles:
    """How many files a message has, and the first of them."""

    count: int
    first: Sequence[JobAttachment]


NO_ISSUES = FirstIssues(0, ())
NO_FILES = FirstFiles(0, ())


def page(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    filters: JobFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Job]:
    """A page of the version's jobs."""
    own = (Job.tenant_id == tenant_id, Job.version_id == version_id)
    # The ids first: to sort all jobs of a version as wide as they are takes twice as long.
    query = select(Job.id).where(*own, *_conditions(version_id, filters))
    found = fetch(session, query, order, after=after, limit=limit)
    jobs = {job.id: job for job in session.scalars(select(Job).where(*own, Job.id.in_(found.rows)))}
    return Slice([jobs[job_id] for job_id in found.rows], found.next_after)


def get_of_campaign(session: Session, tenant_id: UUID, campaign_id: UUID, job_id: UUID) -> Job:
    job = session.scalar(
        select(Job).where(
            Job.tenant_id == tenant_id, Job.campaign_id == campaign_id, Job.id == job_id
        )
    )
    if job is None:
        raise NotFound(f"The campaign {campaign_id} has no job {job_id}.")
    return job


def first_issues(
    session: Session, tenant_id: UUID, job_ids: Sequence[UUID], limit: int
) -> Mapping[UUID, FirstIssues]:
    """The first issues of each job that has any."""
    ranked = (
        select(
            JobIssue.id,
            func.row_number().over(partition_by=JobIssue.job_id, order_by=JobIssue.id).label("nth"),
            func.count().over(partition_by=JobIssue.job_id).label("total"),
        )
        .where(JobIssue.tenant_id == tenant_id, JobIssue.job_id.in_(job_ids))
        .subquery()
    )
    rows = session.execute(
        select(JobIssue, ranked.c.total)
        .join(ranked, ranked.c.id == JobIssue.id)
        .where(ranked.c.nth <= limit)
        .order_by(JobIssue.id)
    )
    found: dict[UUID, tuple[int, list[JobIssue]]] = {}
    for issue, total in rows:
        found.setdefault(issue.job_id, (total, []))[1].append(issue)
    return {job_id: FirstIssues(*each) for job_id, each in found.items()}


def first_files(
    session: Session, tenant_id: UUID, job_ids: Sequence[UUID], limit: int
) -> Mapping[UUID, FirstFiles]:
    """The first files of each message that has any."""
    ranked = (
        select(
            JobAttachment.id,
            func.row_number()
            .over(partition_by=JobAttachment.job_id, order_by=JobAttachment.position)
            .label("nth"),
            func.count().over(partition_by=JobAttachment.job_id).label("total"),
        )
        .where(JobAttachment.tenant_id == tenant_id, JobAttachment.job_id.in_(job_ids))
        .subquery()
    )
    rows = session.execute(
        select(JobAttachment, ranked.c.total)
        .join(ranked, ranked.c.id == JobAttachment.id)
        .where(ranked.c.nth <= limit)
        .order_by(JobAttachment.job_id, JobAttachment.position)
    )
    found: dict[UUID, tuple[int, list[JobAttachment]]] = {}
    for file, total in rows:
        found.setdefault(file.job_id, (total, []))[1].append(file)
    return {job_id: FirstFiles(*each) for job_id, each in found.items()}


def sent_by_others(session: Session, gate: Gate, job_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these jobs' entries another version of the campaign sent, or is sending."""
    return set(
        session.scalars(
            select(Job.id).where(
                Job.tenant_id == gate.tenant_id, Job.id.in_(job_ids), sent_elsewhere(gate)
            )
        )
    )


def issues_page(
    session: Session,
    tenant_id: UUID,
    job_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[JobIssue]:
    """A page of one job's issues."""
    query = select(JobIssue).where(JobIssue.tenant_id == tenant_id, JobIssue.job_id == job_id)
    return fetch(session, query, order, after=after, limit=limit)


def _conditions(version_id: UUID, filters: JobFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if filters.build_status:
        found.append(Job.build_status.in_(filters.build_status))
    if filters.send_status:
        found.append(Job.send_status.in_(filters.send_status))
    if filters.imap_status:
        found.append(Job.imap_status.in_(filters.imap_status))
    if filters.decision is not None:
        found.append(Job.decision == filters.decision)
    if filters.undecided:
        found += [Job.build_status == EntryState.NEEDS_REVIEW, Job.decision.is_(None)]
    if filters.code is not None:
        # By position, which the index of issues has, too: both are read in the same order.
        found.append(
            exists().where(
                JobIssue.version_id == version_id,
                JobIssue.code == filters.code,
                JobIssue.position == Job.position,
                JobIssue.tenant_id == Job.tenant_id,
            )
        )
    if filters.search:
        found.append(Job.search_text.contains(filters.search.casefold(), autoescape=True))
    return found
