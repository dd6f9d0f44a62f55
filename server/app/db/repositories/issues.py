"""Queries about issues: of a version as a whole, and of its jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import JobIssue
from app.db.repositories.bulk import insert_rows
from app.mailer.domain.issues import Issue, Severity

#: A version's own issues first, then those of its entries in their order.
SORTABLE: dict[str, Sortable] = {"position": JobIssue.position}
KEY = JobIssue.id

#: Comes before every job's, whose issues have the job's own position.
OF_VERSION = -1


@dataclass(frozen=True, slots=True)
class IssueFilter:
    """Which issues; what is None does not count."""

    severity: Severity | None = None
    code: str | None = None


def row(
    tenant_id: UUID, version_id: UUID, issue: Issue, job_id: UUID | None, position: int
) -> dict[str, Any]:
    """`issue` as a row to insert."""
    return {
        "tenant_id": tenant_id,
        "version_id": version_id,
        "job_id": job_id,
        "position": position,
        "code": issue.code,
        "severity": issue.severity,
        "pointer": issue.pointer,
        "entry_id": issue.entry,
        "message": issue.message,
        "hint": issue.hint,
    }


def replace_for_version(
    session: Session, tenant_id: UUID, version_id: UUID, issues: Iterable[Issue]
) -> None:
    """Stores the issues that belong to no job, in the place of those stored before."""
    session.execute(
        delete(JobIssue).where(
            JobIssue.tenant_id == tenant_id,
            JobIssue.version_id == version_id,
            JobIssue.job_id.is_(None),
        )
    )
    rows = [row(tenant_id, version_id, issue, None, OF_VERSION) for issue in issues]
    insert_rows(session, JobIssue, rows)


def of_version(session: Session, tenant_id: UUID, version_id: UUID) -> Iterator[JobIssue]:
    """All issues: the version's own first, then the jobs' in their order; read as they are used."""
    return iter(
        session.scalars(
            select(JobIssue)
            .where(JobIssue.tenant_id == tenant_id, JobIssue.version_id == version_id)
            .order_by(JobIssue.position, JobIssue.id)
            .execution_options(yield_per=1000)
        )
    )


def page(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    filters: IssueFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[JobIssue]:
    """A page of the issues of a version and of its jobs."""
    query = select(JobIssue).where(
        JobIssue.tenant_id == tenant_id, JobIssue.version_id == version_id
    )
    if filters.severity is not None:
        query = query.where(JobIssue.severity == filters.severity)
    if filters.code is not None:
        query = query.where(JobIssue.code == filters.code)
    return fetch(session, query, order, after=after, limit=limit)


def of_jobs(
    session: Session, tenant_id: UUID, job_ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[JobIssue]]:
    """The issues of some jobs (a page of them), by job."""
    found: dict[UUID, list[JobIssue]] = {job_id: [] for job_id in job_ids}
    query = select(JobIssue).where(JobIssue.tenant_id == tenant_id, JobIssue.job_id.in_(job_ids))
    for issue in session.scalars(query.order_by(JobIssue.id)):
        assert issue.job_id is not None
        found[issue.job_id].append(issue)
    return found


def counts_by_code(session: Session, tenant_id: UUID, version_id: UUID) -> Counter[str]:
    """How often each code occurs in the version."""
    counted = session.execute(
        select(JobIssue.code, func.count())
        .where(JobIssue.tenant_id == tenant_id, JobIssue.version_id == version_id)
        .group_by(JobIssue.code)
    )
    found: Counter[str] = Counter()
    for code, count in counted:
        found[code] = count
    return found
