"""Look at the versions of a campaign."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.keyset import Order, Slice
from app.db.models import Campaign, CampaignVersion
from app.db.repositories import campaigns, versions
from app.mailer.services.versions import version_of


def page_versions(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> tuple[Campaign, Slice[CampaignVersion]]:
    """The campaign, and a page of its versions without their content."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    campaign = campaigns.get(session, actor.tenant_id, campaign_id)
    found = versions.page(
        session, actor.tenant_id, campaign_id, order=order, after=after, limit=limit
    )
    return campaign, found


def find_version(
    session: Session, actor: Actor, campaign_id: UUID, version_id: UUID
) -> CampaignVersion:
    """One version; its content loads when it is looked at."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    return version_of(session, actor.tenant_id, campaign_id, version_id)
