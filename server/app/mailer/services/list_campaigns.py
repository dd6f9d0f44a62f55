"""List the campaigns of a tenant."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.repositories import campaigns
from app.db.repositories.campaigns import CampaignSummary


def list_campaigns(session: Session, actor: Actor) -> Sequence[CampaignSummary]:
    """All campaigns of the actor's tenant, the one changed last first, with their counts."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    return campaigns.summaries(session, actor.tenant_id)
