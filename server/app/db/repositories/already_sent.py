"""Which files went to whom in other campaigns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models import Campaign, CampaignVersion, Job, JobAttachment
from app.mailer.domain.delivery.job import REACHED

#: Parameters of one statement, which databases limit.
_CHUNK = 1000


class SentFile(NamedTuple):
    """A personal file of another campaign, who got it (or may have, or is about to), and when."""

    sha256: str
    recipients: list[str]
    campaign: str
    at: datetime


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
