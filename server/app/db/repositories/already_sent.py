"""Which files went to whom in other campaigns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from app.db.models import Campaign, CampaignVersion, Job, JobAttachment, JobIssue
from app.db.repositories.queueing import Gate, passes
from app.mailer.domain.delivery.job import REACHED

#: Parameters of one statement, which databases limit.
_CHUNK = 1000


class SentFile(NamedTuple):
    """A personal file of another campaign, who got it (or may have, or is about to), and when."""

    sha256: str
    recipients: list[str]
    campaign: str
    at: datetime


class Repeat(NamedTuple):
    """A personal file of a job that would be queued, and where else it went or is about to go."""

    entry_id: str
    recipients: list[str]
    filename: str
    campaign: str
    other_recipients: list[str]


def sent_files(
    session: Session,
    tenant_id: UUID,
    hashes: Collection[str],
    *,
    except_campaign: UUID,
    since: datetime,
) -> Iterator[SentFile]:
    """Personal files of these hashes that other campaigns of the tenant sent since then."""
    wanted = sorted(hashes)
    moment = func.coalesce(Job.sent_at, Job.queued_at)
    for start in range(0, len(wanted), _CHUNK):
        rows = session.execute(
            select(JobAttachment.sha256, Job.recipients, Campaign.name, Job.sent_at, Job.queued_at)
            .join(Job, Job.id == JobAttachment.job_id)
            .join(CampaignVersion, CampaignVersion.id == Job.version_id)
            .join(Campaign, Campaign.id == Job.campaign_id)
            .where(
                JobAttachment.tenant_id == tenant_id,
                JobAttachment.sha256.in_(wanted[start : start + _CHUNK]),
                JobAttachment.is_personal,
                Job.tenant_id == tenant_id,
                Job.campaign_id != except_campaign,
                Job.send_status.in_(REACHED),
                # A test letter went to nobody but the testers.
                CampaignVersion.mode == "send",
                moment >= since,
            )
            .execution_options(yield_per=1000)
        )
        for sha256, recipients, campaign, sent_at, queued_at in rows:
            at = sent_at or queued_at
            assert at is not None
            yield SentFile(sha256, recipients, campaign, at)


def repeats(session: Session, gate: Gate, *, since: datetime) -> Iterator[Repeat]:
    """Files that `gate` would let through, and that other campaigns sent or queued since then,
    where the build has not told so (`already-sent`): they were queued after it.
    """
    own = aliased(JobAttachment)
    other, other_job = aliased(JobAttachment), aliased(Job)
    was_told = exists(
        select(JobIssue.id).where(
            JobIssue.tenant_id == gate.tenant_id,
            JobIssue.job_id == Job.id,
            JobIssue.code == "already-sent",
        )
    )
    rows = session.execute(
        select(Job.entry_id, Job.recipients, own.filename, Campaign.name, other_job.recipients)
        .join(own, own.job_id == Job.id)
        .join(other, other.sha256 == own.sha256)
        .join(other_job, other_job.id == other.job_id)
        .join(CampaignVersion, CampaignVersion.id == other_job.version_id)
        .join(Campaign, Campaign.id == other_job.campaign_id)
        .where(
            *passes(gate),
            own.is_personal,
            ~was_told,
            other.tenant_id == gate.tenant_id,
            other.is_personal,
            other_job.tenant_id == gate.tenant_id,
            other_job.campaign_id != gate.campaign_id,
            other_job.send_status.in_(REACHED),
            CampaignVersion.mode == "send",
            func.coalesce(other_job.sent_at, other_job.queued_at) >= since,
        )
        .order_by(Job.position)
        .execution_options(yield_per=1000)
    )
    for row in rows:
        yield Repeat(*row)
