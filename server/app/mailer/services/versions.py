"""Which version of a campaign somebody means."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from app.db.models import CampaignVersion
from app.db.repositories import campaigns, versions
from app.mailer.domain.errors import Conflict, NotFound


def version_of(
    session: Session, tenant_id: UUID, campaign_id: UUID, version_id: UUID | None
) -> CampaignVersion:
    """The version asked for, else the campaign's newest; `NotFound` where it is not its own."""
    campaigns.get(session, tenant_id, campaign_id)
    if version_id is None:
        return versions.latest(session, tenant_id, campaign_id)
    version = versions.get(session, tenant_id, version_id)
    if version.campaign_id != campaign_id:
        raise NotFound(
            f"The campaign {campaign_id} has no version {version_id}.",
            "Leave --version-id out for its newest version.",
        )
    return version


def built_version_of(
    session: Session, tenant_id: UUID, campaign_id: UUID, version_id: UUID | None
) -> CampaignVersion:
    """As `version_of`; `Conflict` where that version is not built, or its build was cut off."""
    version = version_of(session, tenant_id, campaign_id, version_id)
    if version.built_at is None:
        raise Conflict(
            f"Version {version.number} is not built, so there is nothing to send.",
            "Run import_campaign with --build.",
        )
    return version
