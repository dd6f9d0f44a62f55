"""The jobs of a campaign as people look at them: lists, one job, its issues and tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Subquery
from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.keyset import Order, Slice
from app.db.models import CampaignVersion, Job, JobAttachment, JobIssue, VersionApproval
from app.db.repositories import approvals, attempt_lists, delivery, job_lists, jobs, versions
from app.db.repositories.attempt_lists import Attempt
from app.db.repositories.job_lists import NO_FILES, NO_ISSUES, FirstFiles, FirstIssues, JobFilter
from app.db.repositories.queueing import Gate
from app.mailer.domain.codes import CODES
from app.mailer.domain.delivery.job import Decision, Event, SendStatus
from app.mailer.domain.delivery.review import Standing, allowed_actions
from app.mailer.domain.errors import MailerError, NotFound
from app.mailer.domain.mime.frame import Frame
from app.mailer.domain.mime.reading import read_message
from app.mailer.services.versions import version_of

#: What a row of a list shows of a job's issues and files; the rest is counted.
FIRST = 3

#: Which scope each action of a person needs.
ACTION_SCOPES: Mapping[Decision | Event, Scope] = {
    Decision.ACCEPT: Scope.CAMPAIGN_APPROVE,
    Decision.EXCLUDE: Scope.CAMPAIGN_APPROVE,
    Event.RETRY: Scope.CAMPAIGN_SEND,
    Event.CANCEL: Scope.CAMPAIGN_SEND,
    Event.ASSUME_SENT: Scope.CAMPAIGN_SEND,
    Event.RESEND: Scope.CAMPAIGN_SEND,
}


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as a list shows it; `actions` are what this actor can do about it now."""

    job: Job
    issues: FirstIssues
    files: FirstFiles
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobDetail:
    """A job with all its files, the headers of its message and the approval that covers it."""

    job: Job
    version: CampaignVersion
    issues: FirstIssues
    files: Sequence[JobAttachment]
    actions: tuple[str, ...]
    headers: Sequence[tuple[str, str]]
    approval: VersionApproval | None


def page_jobs(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    filters: JobFilter,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[JobRow]:
    """A page of a version's jobs (None: as `version_of`); none where it is not built."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    if filters.code is not None and filters.code not in CODES:
        raise MailerError(f"There is no issue code {filters.code!r}.")
    tenant_id = actor.tenant_id
    version = version_of(session, tenant_id, campaign_id, version_id, content=False)
    found = job_lists.page(
        session, tenant_id, version.id, filters, order=order, after=after, limit=limit
    )
    ids = [job.id for job in found.rows]
    issues = job_lists.first_issues(session, tenant_id, ids, FIRST)
    files = job_lists.first_files(session, tenant_id, ids, FIRST)
    actions = _actions(session, actor, version, found.rows)
    rows = [
        JobRow(job, issues.get(job.id, NO_ISSUES), files.get(job.id, NO_FILES), actions[job.id])
        for job in found.rows
    ]
    return Slice(rows, found.next_after)


def get_job(session: Session, actor: Actor, campaign_id: UUID, job_id: UUID) -> JobDetail:
    """One job with everything but its body."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    tenant_id = actor.tenant_id
    job = job_lists.get_of_campaign(session, tenant_id, campaign_id, job_id)
    version = versions.find(session, tenant_id, campaign_id, job.version_id)
    if version is None:
        raise NotFound(f"There is no job {job_id}.")
    stored = delivery.frame_of(session, tenant_id, job.id)
    live = approvals.live(session, tenant_id, [version.id])
    return JobDetail(
        job,
        version,
        job_lists.first_issues(session, tenant_id, [job.id], FIRST).get(job.id, NO_ISSUES),
        jobs.attachments_of(session, tenant_id, [job.id])[job.id],
        _actions(session, actor, version, [job])[job.id],
        _headers(stored),
        live[-1] if live else None,
    )


def version_of_job(session: Session, actor: Actor, campaign_id: UUID, job_id: UUID) -> UUID:
    """The version that one of the campaign's jobs is of."""
    return job_lists.get_of_campaign(session, actor.tenant_id, campaign_id, job_id).version_id


def page_job_issues(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    job_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[JobIssue]:
    """A page of what was found in one job."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    job = job_lists.get_of_campaign(session, actor.tenant_id, campaign_id, job_id)
    return job_lists.issues_page(
        session, actor.tenant_id, job.id, order=order, after=after, limit=limit
    )


def page_job_attempts(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    job_id: UUID,
    tries: Subquery,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Attempt]:
    """A page of the tries to send one job and to file its copy; `tries` is its `timeline`."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    job_lists.get_of_campaign(session, actor.tenant_id, campaign_id, job_id)
    return attempt_lists.page(
        session, actor.tenant_id, tries, order=order, after=after, limit=limit
    )


def _actions(
    session: Session, actor: Actor, version: CampaignVersion, rows: Sequence[Job]
) -> dict[UUID, tuple[str, ...]]:
    gate = Gate(
        actor.tenant_id,
        version.campaign_id,
        version.id,
        True,
        leave_out_sent=version.mode == "send",
    )
    # Only these can be sent again, so only for these does it matter who else has it.
    again = [row.id for row in rows if row.send_status in (SendStatus.FAILED, SendStatus.IN_DOUBT)]
    elsewhere = job_lists.sent_by_others(session, gate, again) if again else set()
    may = {action for action, scope in ACTION_SCOPES.items() if actor.may(scope)}
    return {
        row.id: tuple(
            action.value
            for action in allowed_actions(
                Standing(
                    row.entry_id,
                    row.build_status,
                    row.decision,
                    row.send_status,
                    row.id in elsewhere,
                )
            )
            if action in may
        )
        for row in rows
    }


def _headers(stored: bytes | None) -> Sequence[tuple[str, str]]:
    """Of the message as it leaves; none where it is absent or damaged, which reading it tells."""
    if stored is None:
        return ()
    try:
        return read_message(Frame.decode(stored)).headers
    except ValueError:
        return ()
