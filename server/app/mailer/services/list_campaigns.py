"""List the campaigns of a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.keyset import Order, Slice
from app.db.models import Campaign
from app.db.repositories import campaigns
from app.db.repositories.campaigns import CampaignSummary


def list_campaigns(session: Session, actor: Actor) -> Sequence[CampaignSummary]:
    """All campaigns of the actor's tenant, the one changed last first, with their counts."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    return campaigns.summaries(session, actor.tenant_id)


def page_campaigns(
    session: Session, actor: Actor, *, order: Order, after: tuple[Any, Any] | None, limit: int
) -> Slice[Campaign]:
    """A page of them; `order` and `after` as `db.keyset.fetch` takes them."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    return campaigns.page(session, actor.tenant_id, order=order, after=after, limit=limit)
