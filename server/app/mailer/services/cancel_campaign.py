"""Stop a campaign: whatever has not left is cancelled, in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion
from app.db.repositories import campaigns, decisions, jobs, versions
from app.mailer.domain.delivery.job import OPEN, SendStatus
from app.mailer.domain.errors import Conflict
from app.mailer.domain.version import VersionEvent, move, sources_of


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancelling did; `leaving` messages were past the point of no return."""

    campaign_id: UUID
    cancelled: int
    leaving: int
    sent: int
    in_doubt: int


def cancel_campaign(
    session: Session, actor: Actor, campaign_id: UUID, *, reason: str, now: datetime
) -> Cancelled:
    """Cancel all messages of all versions that have not left; the caller commits.

    One of which the closing dot may be on its way is past it (`leaving`). `Conflict` where nothing
    waits. Queueing again undoes it.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    campaigns.lock(session, actor.tenant_id, campaign_id)
    locked = versions.of_campaign(session, actor.tenant_id, campaign_id, lock=True)
    cancelled = decisions.cancel_all(session, actor.tenant_id, campaign_id)
    if not cancelled:
        raise Conflict("Nothing of this campaign waits to be sent.", "There is nothing to cancel.")
    leaving = sent = in_doubt = 0
    for version in locked:
        counts = jobs.counts(session, actor.tenant_id, version.id).send
        leaving += counts[SendStatus.COMMITTING]
        sent += counts[SendStatus.SENT]
        in_doubt += counts[SendStatus.IN_DOUBT]
        if not any(counts[status] for status in OPEN):
            end_workflow(version, sent_any=counts[SendStatus.SENT] > 0)
    session.flush()
    result = Cancelled(campaign_id, cancelled, leaving, sent, in_doubt)
    log.record(
        session,
        actor,
        "campaign.cancelled",
        "campaign",
        campaign_id,
        {"cancelled": cancelled, "leaving": leaving, "reason": reason.strip()},
        now,
    )
    return result


def end_workflow(version: CampaignVersion, *, sent_any: bool) -> None:
    """The state of a version of which nothing waits any more, after somebody cancelled the rest."""
    version.starts_at = None
    event = VersionEvent.COMPLETE if sent_any else VersionEvent.CANCEL
    if version.workflow_state in sources_of(event):
        version.workflow_state = move(version.workflow_state, event)
