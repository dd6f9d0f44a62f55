"""What waits for workers, of every tenant: what is due, whose leases ran out, what is over.

These are the workers' own queries, hence no tenant in them; what they find names its tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select, text
from sqlalchemy.orm import Session

from app.db.models import Campaign, CampaignVersion, Job, MailAccount
from app.mailer.domain.delivery.job import OPEN, Event, SendStatus, sources_of
from app.mailer.domain.version import VersionEvent
from app.mailer.domain.version import sources_of as version_sources_of

#: The number of the lock that one pass of one dispatcher holds (any that nobody else uses).
_PASS = 7_302_154_811


@dataclass(frozen=True, slots=True)
class Due:
    """A version of which letters are to be sent now."""

    tenant_id: UUID
    campaign_id: UUID
    version_id: UUID


def take_pass(session: Session) -> bool:
    """Be the one dispatcher until the transaction ends; False where another one is at it."""
    if session.get_bind().dialect.name != "postgresql":
        # Whoever writes on SQLite is alone anyway.
        return True
    return bool(session.scalar(text("SELECT pg_try_advisory_xact_lock(:n)"), {"n": _PASS}))


def due(session: Session, now: datetime) -> Sequence[Due]:
    """The versions of which something is due, and nobody holds back."""
    rows = session.execute(
        select(CampaignVersion.tenant_id, CampaignVersion.campaign_id, CampaignVersion.id)
        .join(Campaign, Campaign.id == CampaignVersion.campaign_id)
        .where(
            _waiting(),
            Campaign.paused_at.is_(None),
            or_(Campaign.held_until.is_(None), Campaign.held_until <= now),
            or_(*(_has(status, Job.due_at <= now) for status in sources_of(Event.CLAIM))),
        )
        .order_by(CampaignVersion.published_at, CampaignVersion.id)
    )
    return [Due(*row) for row in rows]


def over(session: Session) -> Sequence[Due]:
    """The versions that count as waiting or sending, and of which nothing waits any more."""
    rows = session.execute(
        select(CampaignVersion.tenant_id, CampaignVersion.campaign_id, CampaignVersion.id).where(
            _waiting(), *(~_has(status) for status in OPEN)
        )
    )
    return [Due(*row) for row in rows]


def tenants_with_lapsed_leases(session: Session, now: datetime) -> Sequence[UUID]:
    """Whose jobs are held by workers that said nothing for too long."""
    held = sources_of(Event.EXPIRE_CLAIM) | sources_of(Event.LOSE)
    return session.scalars(
        select(Job.tenant_id)
        .where(Job.send_status.in_(held), or_(Job.lease_until < now, Job.lease_until.is_(None)))
        .distinct()
    ).all()


def state_of_terms(session: Session, tenant_id: UUID, version_id: UUID) -> tuple[int, int] | None:
    """Grows with each change of what says how a version is sent: of itself and of its account."""
    row = session.execute(
        select(CampaignVersion.revision, func.coalesce(MailAccount.revision, 0))
        .outerjoin(MailAccount, MailAccount.id == CampaignVersion.account_id)
        .where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.id == version_id)
    ).one_or_none()
    return None if row is None else (row[0], row[1])


def _waiting() -> ColumnElement[bool]:
    return CampaignVersion.workflow_state.in_(version_sources_of(VersionEvent.COMPLETE))


def _has(status: SendStatus, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    # A state at a time, so that each is one look into the index.
    return exists(
        select(Job.id).where(
            Job.version_id == CampaignVersion.id, Job.send_status == status, *conditions
        )
    )
