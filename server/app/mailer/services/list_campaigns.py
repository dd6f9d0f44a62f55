"""List the campaigns of a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.keyset import Order, Slice
from app.db.models import Campaign, CampaignVersion
from app.db.repositories import campaigns, versions
from app.db.repositories.campaigns import CampaignFilter, CampaignSummary


def list_campaigns(session: Session, actor: Actor) -> Sequence[CampaignSummary]:
    """All campaigns of the actor's tenant, the one changed last first, with their counts."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    return campaigns.summaries(session, actor.tenant_id)


def page_campaigns(
    session: Session,
    actor: Actor,
    filters: CampaignFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Campaign]:
    """A page of them; `order` and `after` as `db.keyset.fetch` takes them."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    return campaigns.page(session, actor.tenant_id, filters, order=order, after=after, limit=limit)


def get_campaign(session: Session, actor: Actor, campaign_id: UUID) -> Campaign:
    """One of them; `NotFound` where the tenant has none of this id."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    return campaigns.get(session, actor.tenant_id, campaign_id)


def newest_versions(
    session: Session, actor: Actor, shown: Sequence[Campaign]
) -> tuple[dict[UUID, CampaignVersion], dict[UUID, CampaignVersion]]:
    """The newest version of each, and the newest that is built, without content, by campaign."""
    newest = versions.newest_of(session, actor.tenant_id, [each.id for each in shown])
    built = {key: each for key, each in newest.items() if each.built_at is not None}
    if drafts := newest.keys() - built.keys():
        built |= versions.newest_of(session, actor.tenant_id, drafts, built=True)
    return newest, built
