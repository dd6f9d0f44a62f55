"""Which version of a campaign somebody means."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from app.db.models import CampaignVersion
from app.db.repositories import campaigns, jobs, versions
from app.mailer.domain.errors import Conflict, NotFound


def version_of(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    version_id: UUID | None,
    *,
    content: bool = True,
    lock: bool = False,
) -> CampaignVersion:
    """The version asked for, else the newest that is built, since its letters are what there is,
    else the newest; `NotFound` where it is not the campaign's own.

    Without `content` its config, which can be large, is not there. With `lock` nobody else can
    change it until the commit: whoever moves it, or decides by what was built, has it locked.
    """
    campaigns.get(session, tenant_id, campaign_id)
    version = versions.find(session, tenant_id, campaign_id, version_id, content=content, lock=lock)
    if version is not None:
        return version
    if version_id is None:
        raise NotFound(f"The campaign {campaign_id} has no version.", "Import its file first.")
    raise NotFound(
        f"The campaign {campaign_id} has no version {version_id}.",
        "Take an id from the campaign's versions.",
    )


def built_version_of(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    version_id: UUID | None,
    *,
    content: bool = True,
    lock: bool = False,
) -> CampaignVersion:
    """As `version_of`; `Conflict` where that version is not built, or its build was cut off."""
    version = version_of(session, tenant_id, campaign_id, version_id, content=content, lock=lock)
    if version.built_at is None:
        raise Conflict(
            f"Version {version.number} is not built, so there is nothing to send.",
            "Build it first.",
        )
    return version


def locked_version(
    session: Session, tenant_id: UUID, campaign_id: UUID, version_id: UUID
) -> CampaignVersion:
    """The campaign's own version with its content; nobody else changes it until the commit."""
    version = versions.get(session, tenant_id, version_id, lock=True)
    if version.campaign_id != campaign_id:
        raise NotFound(f"The campaign {campaign_id} has no version {version_id}.")
    return version


def discard_unfinished(session: Session, version: CampaignVersion) -> None:
    """Half a build is none: its letters go, and whoever is still at it cannot end it.

    The version is locked.
    """
    if version.built_at is None and version.build_id is not None:
        jobs.delete_unqueued(session, version.tenant_id, version.id)
        version.build_id = None
