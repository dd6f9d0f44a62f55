"""What the evidence of a version is made of, in the order of its jobs and read as it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Row, Select, Table, Text, func, select, type_coerce
from sqlalchemy.orm import Session

from app.db.models import (
    AuditEntry,
    CampaignVersion,
    ImapAppendAttempt,
    Job,
    JobAttachment,
    JobIssue,
    JobMessage,
    SendAttempt,
    VersionApproval,
)
from app.db.repositories import campaigns

_MANY, _FEW = 1_000, 50
#: What is of no use to whoever has no database, or only says how work was shared out.
_LEFT_OUT = frozenset(
    {"tenant_id", "campaign_id", "version_id", "source_row", "search_text", "due_at", "fence",
     "lease_until", "append_worker", "append_lease_until"}
)  # fmt: skip
_OF_A_ROW = _LEFT_OUT | {"id"}


def config_text(session: Session, tenant_id: UUID, version_id: UUID) -> str:
    """The version's campaign file exactly as it is stored: the text that its hash is over."""
    return session.scalars(
        select(type_coerce(CampaignVersion.config, Text())).where(
            CampaignVersion.tenant_id == tenant_id, CampaignVersion.id == version_id
        )
    ).one()


def messages(session: Session, tenant_id: UUID, version_id: UUID) -> Iterator[dict[str, Any]]:
    query = select(*_columns(Job, _LEFT_OUT)).where(*_own(tenant_id, version_id))
    return _rows(session, query.order_by(Job.position))


def attachments(session: Session, tenant_id: UUID, version_id: UUID) -> Iterator[dict[str, Any]]:
    query = _of_jobs(JobAttachment, tenant_id, version_id)
    return _rows(session, query.order_by(Job.position, JobAttachment.position))


def issues(session: Session, tenant_id: UUID, version_id: UUID) -> Iterator[dict[str, Any]]:
    """Those of the version itself first."""
    query = select(*_columns(JobIssue, _OF_A_ROW)).where(
        JobIssue.tenant_id == tenant_id, JobIssue.version_id == version_id
    )
    return _rows(session, query.order_by(JobIssue.position, JobIssue.id))


def send_attempts(session: Session, tenant_id: UUID, version_id: UUID) -> Iterator[dict[str, Any]]:
    query = _of_jobs(SendAttempt, tenant_id, version_id)
    return _rows(session, query.order_by(Job.position, SendAttempt.number))


def append_attempts(
    session: Session, tenant_id: UUID, version_id: UUID
) -> Iterator[dict[str, Any]]:
    query = _of_jobs(ImapAppendAttempt, tenant_id, version_id)
    return _rows(session, query.order_by(Job.position, ImapAppendAttempt.number))


def approvals(session: Session, tenant_id: UUID, version_id: UUID) -> Iterator[dict[str, Any]]:
    """Also those that are void."""
    query = select(*_columns(VersionApproval, _LEFT_OUT)).where(
        VersionApproval.tenant_id == tenant_id, VersionApproval.version_id == version_id
    )
    return _rows(session, query.order_by(VersionApproval.approved_at, VersionApproval.id))


def frames(session: Session, tenant_id: UUID, version_id: UUID) -> Iterator[Row[Any]]:
    """Of every job that has a message: `position`, `entry_id`, `size`, `sha256`, `frame` (None
    where it is gone).
    """
    query = (
        select(Job.position, Job.entry_id, Job.size, Job.sha256, JobMessage.frame)
        .outerjoin(JobMessage, JobMessage.job_id == Job.id)
        .where(*_own(tenant_id, version_id), Job.sha256.is_not(None))
        .order_by(Job.position)
    )
    return iter(session.execute(query.execution_options(yield_per=_FEW)))


def first_audit_number(session: Session, tenant_id: UUID, version: CampaignVersion) -> int | None:
    """The first entry of the log from the time when the campaign was made."""
    made = campaigns.get(session, tenant_id, version.campaign_id).created_at
    return session.scalar(
        select(func.min(AuditEntry.sequence)).where(
            AuditEntry.tenant_id == tenant_id, AuditEntry.at >= made
        )
    )


def version_ids(session: Session, tenant_id: UUID, campaign_id: UUID) -> frozenset[str]:
    """The versions of a campaign, as audit entries name them."""
    found = session.scalars(
        select(CampaignVersion.id).where(
            CampaignVersion.tenant_id == tenant_id, CampaignVersion.campaign_id == campaign_id
        )
    )
    return frozenset(map(str, found))


def _of_jobs(
    model: type[JobAttachment | SendAttempt | ImapAppendAttempt], tenant_id: UUID, version_id: UUID
) -> Select[Any]:
    return (
        select(*_columns(model, _OF_A_ROW), Job.entry_id)
        .join(Job, Job.id == model.job_id)
        .where(model.tenant_id == tenant_id, *_own(tenant_id, version_id))
    )


def _own(tenant_id: UUID, version_id: UUID) -> tuple[Any, ...]:
    return (Job.tenant_id == tenant_id, Job.version_id == version_id)


def _columns(model: type[Any], without: frozenset[str]) -> list[Column[Any]]:
    table: Table = model.__table__
    return [column for column in table.columns if column.name not in without]


def _rows(session: Session, query: Select[Any]) -> Iterator[dict[str, Any]]:
    rows = session.execute(query.execution_options(yield_per=_MANY))
    return (row._asdict() for row in rows)
