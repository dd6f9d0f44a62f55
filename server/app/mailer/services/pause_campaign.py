"""Hold a campaign back, and let it go on: nothing of a paused one is claimed or committed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.locking import hold_dots
from app.db.models import Campaign
from app.db.repositories import campaigns, versions
from app.db.repositories.delivery import Pause
from app.mailer.domain.errors import Conflict


def pause_campaign(
    session: Session, actor: Actor, campaign_id: UUID, *, reason: str, now: datetime
) -> Campaign:
    """From the commit on no closing dot of the campaign leaves; the caller commits.

    `Conflict` where somebody paused it before.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    pause = _pause(campaign)
    if pause is not None:
        raise Conflict(str(pause), "There is nothing more to do.")
    hold_dots(session, campaign_id)
    campaign.paused_at = now
    campaign.paused_by = actor.name
    campaign.pause_reason = reason.strip()
    session.flush()
    log.record(
        session,
        actor,
        "campaign.paused",
        "campaign",
        campaign_id,
        {"reason": campaign.pause_reason},
        now,
        before={"paused": False},
        after={"paused": True},
    )
    return campaign


def resume_campaign(
    session: Session, actor: Actor, campaign_id: UUID, *, now: datetime
) -> Campaign:
    """What is queued may leave again; the caller commits. `Conflict` where it is not paused.

    A planned start that passed meanwhile is not missed: somebody has looked, and wants it to go.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    pause = _pause(campaign)
    if pause is None:
        raise Conflict("This campaign is not paused.", "There is nothing to resume.")
    campaign.paused_at = campaign.paused_by = campaign.pause_reason = None
    for version in versions.of_campaign(session, actor.tenant_id, campaign_id, lock=True):
        if version.starts_at is not None and version.starts_at <= now:
            version.starts_at = None
    session.flush()
    log.record(
        session,
        actor,
        "campaign.resumed",
        "campaign",
        campaign_id,
        {"paused_by": pause.by, "paused_at": pause.at.isoformat(), "reason": pause.reason},
        now,
        before={"paused": True},
        after={"paused": False},
    )
    return campaign


def _pause(campaign: Campaign) -> Pause | None:
    if campaign.paused_at is None:
        return None
    return Pause(campaign.paused_by or "", campaign.paused_at, campaign.pause_reason or "")
