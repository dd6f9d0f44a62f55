"""Queries about campaigns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Subquery, and_, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import Campaign, CampaignVersion, Job, WorkflowState
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.errors import NotFound
from app.mailer.domain.issues import EntryState

#: What lists of campaigns may be sorted by, and the key that makes an order unambiguous.
SORTABLE: dict[str, Sortable] = {
    "updated_at": Campaign.updated_at,
    "created_at": Campaign.created_at,
    "name": Campaign.name,
}
KEY = Campaign.id


@dataclass(frozen=True, slots=True)
class CampaignSummary:
    """A campaign as lists show it: with its last version, and that version's jobs counted."""

    id: UUID
    external_id: str
    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    version_id: UUID | None
    version_number: int | None
    mode: str | None
    workflow_state: WorkflowState | None
    build_counts: Counter[EntryState]
    send_counts: Counter[SendStatus]


def find_by_external_id(session: Session, tenant_id: UUID, external_id: str) -> Campaign | None:
    return session.scalar(
        select(Campaign).where(Campaign.tenant_id == tenant_id, Campaign.external_id == external_id)
    )


def get(session: Session, tenant_id: UUID, campaign_id: UUID) -> Campaign:
    """The campaign; `NotFound` where the tenant has none of this id."""
    campaign = session.scalar(
        select(Campaign).where(Campaign.tenant_id == tenant_id, Campaign.id == campaign_id)
    )
    if campaign is None:
        raise NotFound(
            f"There is no campaign {campaign_id}.", "list_db_campaigns shows the ids that exist."
        )
    return campaign


def put(
    session: Session,
    tenant_id: UUID,
    *,
    external_id: str,
    name: str,
    description: str,
    now: datetime,
) -> Campaign:
    """The campaign of this external id, made where it is new, else with name and text renewed.

    Two that put the same one at once get the same row.
    """
    campaign = find_by_external_id(session, tenant_id, external_id)
    if campaign is None:
        campaign = Campaign(
            tenant_id=tenant_id,
            external_id=external_id,
            name=name,
            description=description,
            created_at=now,
            updated_at=now,
        )
        try:
            with session.begin_nested():
                session.add(campaign)
        except IntegrityError:
            campaign = find_by_external_id(session, tenant_id, external_id)
            if campaign is None:
                raise
        else:
            return campaign
    campaign.name = name
    campaign.description = description
    campaign.updated_at = now
    session.flush()
    return campaign


def summaries(session: Session, tenant_id: UUID) -> Sequence[CampaignSummary]:
    """All campaigns of the tenant, the one changed last first; two statements however many."""
    last = _last_numbers(tenant_id)
    rows = session.execute(
        select(
            Campaign,
            CampaignVersion.id,
            CampaignVersion.number,
            CampaignVersion.mode,
            CampaignVersion.workflow_state,
        )
        .outerjoin(last, last.c.campaign_id == Campaign.id)
        .outerjoin(
            CampaignVersion,
            and_(
                CampaignVersion.campaign_id == last.c.campaign_id,
                CampaignVersion.number == last.c.number,
            ),
        )
        .where(Campaign.tenant_id == tenant_id)
        .order_by(Campaign.updated_at.desc(), Campaign.id)
    ).all()
    build: dict[UUID, Counter[EntryState]] = {}
    send: dict[UUID, Counter[SendStatus]] = {}
    counted = session.execute(
        select(Job.version_id, Job.build_status, Job.send_status, func.count())
        .join(CampaignVersion, CampaignVersion.id == Job.version_id)
        .join(
            last,
            and_(
                last.c.campaign_id == CampaignVersion.campaign_id,
                last.c.number == CampaignVersion.number,
            ),
        )
        .where(Job.tenant_id == tenant_id)
        .group_by(Job.version_id, Job.build_status, Job.send_status)
    )
    for version_id, build_status, send_status, count in counted:
        build.setdefault(version_id, Counter())[build_status] += count
        send.setdefault(version_id, Counter())[send_status] += count
    return [
        CampaignSummary(
            id=campaign.id,
            external_id=campaign.external_id,
            name=campaign.name,
            description=campaign.description,
            created_at=campaign.created_at,
            updated_at=campaign.updated_at,
            version_id=version_id,
            version_number=number,
            mode=mode,
            workflow_state=state,
            build_counts=build.get(version_id, Counter()),
            send_counts=send.get(version_id, Counter()),
        )
        for campaign, version_id, number, mode, state in rows
    ]


def page(
    session: Session,
    tenant_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Campaign]:
    """A page of the tenant's campaigns."""
    query = select(Campaign).where(Campaign.tenant_id == tenant_id)
    return fetch(session, query, order, after=after, limit=limit)


def _last_numbers(tenant_id: UUID) -> Subquery:
    return (
        select(CampaignVersion.campaign_id, func.max(CampaignVersion.number).label("number"))
        .where(CampaignVersion.tenant_id == tenant_id)
        .group_by(CampaignVersion.campaign_id)
        .subquery()
    )


def lock(session: Session, tenant_id: UUID, campaign_id: UUID) -> Campaign:
    """As `get`, and nobody else can lock the campaign before the commit."""
    get(session, tenant_id, campaign_id)
    return session.scalars(
        select(Campaign)
        .where(Campaign.tenant_id == tenant_id, Campaign.id == campaign_id)
        .with_for_update()
    ).one()
