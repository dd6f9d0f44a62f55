"""Entries that wait for a person's decision, with what is in question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.models import Job, JobAttachment, JobIssue
from app.db.repositories import issues, jobs
from app.mailer.domain.issues import EntryState
from app.mailer.services.versions import built_version_of


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """Entries that wait for a decision, ready for JSON; `next_after` asks for the next page.

    `undecided` counts all of them, not only those of this page.
    """

    version_id: UUID
    version_number: int
    undecided: int
    reviews: list[dict[str, Any]]
    next_after: int | None


def open_reviews(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    after: int = -1,
    limit: int = 100,
) -> ReviewPage:
    """The next `limit` entries behind position `after` that need a decision."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    tenant_id = actor.tenant_id
    version = built_version_of(session, tenant_id, campaign_id, version_id, content=False)
    page = jobs.page(
        session,
        tenant_id,
        version.id,
        after=after,
        limit=limit,
        build_status=[EntryState.NEEDS_REVIEW],
        undecided=True,
    )
    ids = [job.id for job in page]
    found = issues.of_jobs(session, tenant_id, ids)
    files = jobs.attachments_of(session, tenant_id, ids)
    return ReviewPage(
        version.id,
        version.number,
        jobs.counts(session, tenant_id, version.id).undecided,
        [_review(job, found[job.id], files[job.id]) for job in page],
        page[-1].position if len(page) == limit else None,
    )


def _review(job: Job, found: Sequence[JobIssue], files: Sequence[JobAttachment]) -> dict[str, Any]:
    return {
        "entry_id": job.entry_id,
        "pointer": job.pointer,
        "to": job.to_display,
        "subject": job.subject,
        "size": job.size,
        "sha256": job.sha256,
        "issues": [
            {
                "code": issue.code,
                "severity": issue.severity.value,
                "pointer": issue.pointer,
                "message": issue.message,
                "hint": issue.hint,
            }
            for issue in found
        ],
        "attachments": [
            {
                "rule": file.rule,
                "path": file.path,
                "filename": file.filename,
                "archive": file.archive,
                "size": file.size,
                "sha256": file.sha256,
            }
            for file in files
        ],
    }
