"""What a mail account has sent lately, for limiters that have forgotten it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, cast, extract, func, or_, select
from sqlalchemy.orm import Session

from app.db.models import CampaignVersion, Job
from app.mailer.domain.delivery.job import SendStatus

_DAY = timedelta(hours=24)
#: Seconds of a group; all of it counts as old as its youngest letter.
_TOGETHER = 60
#: A letter that may be at the server uses up a place as well.
_PERHAPS_SENT = (SendStatus.COMMITTING, SendStatus.IN_DOUBT)


def sent_lately(
    session: Session, tenant_id: UUID, account_id: UUID, now: datetime
) -> list[tuple[float, int]]:
    """What left by an account in the last 24 hours: pairs of seconds ago and how many letters."""
    at = func.coalesce(Job.sent_at, Job.claimed_at)
    youngest = func.max(at)
    rows = session.execute(
        select(youngest, func.count())
        .join(CampaignVersion, CampaignVersion.id == Job.version_id)
        .where(
            CampaignVersion.tenant_id == tenant_id,
            CampaignVersion.account_id == account_id,
            Job.tenant_id == tenant_id,
            or_(Job.sent_at.is_not(None), Job.send_status.in_(_PERHAPS_SENT)),
            at > now - _DAY,
        )
        .group_by(cast(extract("epoch", at), BigInteger) // _TOGETHER)
        .order_by(youngest)
    )
    return [(max(0.0, (now - youngest).total_seconds()), count) for youngest, count in rows]
