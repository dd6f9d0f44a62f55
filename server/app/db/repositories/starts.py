"""Planned starts: which have come, and whether anything came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from app.db.models import Campaign, CampaignVersion, Job
from app.mailer.domain.delivery.job import Event, sources_of


@dataclass(frozen=True, slots=True)
class Start:
    """The planned start of a version's letters; `begun`: a worker took one of them since."""

    tenant_id: UUID
    campaign_id: UUID
    version_id: UUID
    starts_at: datetime
    begun: bool


def come(session: Session, now: datetime) -> Sequence[Start]:
    """The planned starts of all tenants that have come, where nobody holds the campaign back.

    The workers' own query, hence no tenant in it. Nearly always there is none.
    """
    rows = session.execute(
        select(
            CampaignVersion.tenant_id,
            CampaignVersion.campaign_id,
            CampaignVersion.id,
            CampaignVersion.starts_at,
            _begun(),
        )
        .join(Campaign, Campaign.id == CampaignVersion.campaign_id)
        .where(CampaignVersion.starts_at <= now, Campaign.paused_at.is_(None))
        .order_by(CampaignVersion.starts_at, CampaignVersion.id)
    )
    return [
        Start(tenant_id, campaign_id, version_id, starts_at, begun)
        for tenant_id, campaign_id, version_id, starts_at, begun in rows
        if starts_at is not None
    ]


def of_version(session: Session, tenant_id: UUID, version_id: UUID, now: datetime) -> Start | None:
    """The planned start of a version, where it has come and nobody has seen it begin until now."""
    row = session.execute(
        select(CampaignVersion.campaign_id, CampaignVersion.starts_at, _begun()).where(
            CampaignVersion.tenant_id == tenant_id,
            CampaignVersion.id == version_id,
            CampaignVersion.starts_at <= now,
        )
    ).one_or_none()
    if row is None:
        return None
    campaign_id, starts_at, begun = row
    assert starts_at is not None
    return Start(tenant_id, campaign_id, version_id, starts_at, begun)


def any_waiting(session: Session, tenant_id: UUID, version_id: UUID) -> bool:
    """Whether a version has letters that could still be taken."""
    return bool(
        session.scalar(
            select(
                exists().where(
                    Job.tenant_id == tenant_id,
                    Job.version_id == version_id,
                    Job.send_status.in_(sources_of(Event.CLAIM)),
                )
            )
        )
    )


def _begun() -> ColumnElement[bool]:
    return exists(
        select(Job.id).where(
            Job.tenant_id == CampaignVersion.tenant_id,
            Job.version_id == CampaignVersion.id,
            Job.claimed_at >= CampaignVersion.starts_at,
        )
    )
