"""A planned start that was missed by more than an hour waits for a person.

Who plans a letter for the morning may not want it in the night, and nobody looks on when a machine
that was off comes back.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor
from app.access.scopes import Scope
from app.db.repositories import campaigns, starts, versions
from app.mailer.domain.delivery.window import is_missed, why_missed
from app.mailer.domain.errors import NotFound
from app.mailer.services.pause_campaign import pause_campaign


def hold_missed_starts(sessions: sessionmaker[Session], now: datetime) -> int:
    """Pause every campaign whose planned start was missed; how many those are.

    And no longer watch the starts that went as planned. One transaction for each version.
    """
    with sessions() as session:
        found = starts.come(session, now)
    return sum(
        _settle(sessions, each.tenant_id, each.campaign_id, each.version_id, now)
        for each in found
        if each.begun or is_missed(each.starts_at, now)
    )


def hold_missed_start(
    sessions: sessionmaker[Session], tenant_id: UUID, version_id: UUID, now: datetime
) -> bool:
    """As `hold_missed_starts`, for one version of which somebody is about to send: he may have
    heard of it before the dispatcher has looked.
    """
    with sessions() as session:
        start = starts.of_version(session, tenant_id, version_id, now)
    if start is None or start.begun or not is_missed(start.starts_at, now):
        return False
    return _settle(sessions, tenant_id, start.campaign_id, version_id, now)


def _settle(
    sessions: sessionmaker[Session],
    tenant_id: UUID,
    campaign_id: UUID,
    version_id: UUID,
    now: datetime,
) -> bool:
    with sessions() as session:
        try:
            campaign = campaigns.lock(session, tenant_id, campaign_id)
        except NotFound:  # deleted meanwhile
            return False
        version = versions.find(session, tenant_id, campaign_id, version_id, lock=True)
        # All of it once more: a worker, a person or another dispatcher was faster, perhaps.
        start = starts.of_version(session, tenant_id, version_id, now)
        if version is None or start is None or campaign.paused_at is not None:
            return False
        missed = not start.begun and starts.any_waiting(session, tenant_id, version_id)
        if missed and not is_missed(start.starts_at, now):
            return False
        version.starts_at = None
        if missed:
            pause_campaign(
                session,
                Actor.system(tenant_id, scopes=[Scope.CAMPAIGN_SEND]),
                campaign_id,
                reason=why_missed(start.starts_at, now),
                now=now,
            )
        session.commit()
    return missed
