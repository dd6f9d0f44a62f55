"""Queries about the versions of a campaign."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, undefer

from app.db.models import CampaignVersion
from app.db.repositories import campaigns
from app.mailer.domain.errors import Conflict, NotFound

#: Others may take the number that was about to be used; so many in a row means something else.
_TRIES = 20


def add(session: Session, tenant_id: UUID, version: CampaignVersion) -> CampaignVersion:
    """Stores `version` as the next one of its campaign, whose number it gets.

    Two that add at once get two numbers: the unique constraint decides, and the loser counts
    again. `NotFound` where the campaign is not the tenant's.
    """
    campaigns.get(session, tenant_id, version.campaign_id)
    version.tenant_id = tenant_id
    last = select(func.max(CampaignVersion.number)).where(
        CampaignVersion.tenant_id == tenant_id,
        CampaignVersion.campaign_id == version.campaign_id,
    )
    for _ in range(_TRIES):
        version.number = (session.scalar(last) or 0) + 1
        try:
            with session.begin_nested():
                session.add(version)
        except IntegrityError as error:
            if "number" not in str(error.orig):
                raise
        else:
            return version
    raise Conflict("Others keep adding versions to this campaign.", "Try again in a moment.")


def get(
    session: Session, tenant_id: UUID, version_id: UUID, *, lock: bool = False
) -> CampaignVersion:
    """The version with its config; with `lock` nobody else can change it until the commit."""
    query = _with_content(tenant_id).where(CampaignVersion.id == version_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    version = session.scalar(query)
    if version is None:
        raise NotFound(
            f"There is no version {version_id}.",
            "list_db_campaigns --json shows the newest one of each campaign.",
        )
    return version


def latest(session: Session, tenant_id: UUID, campaign_id: UUID) -> CampaignVersion:
    """The version of the highest number, with its config; `NotFound` where there is none."""
    version = session.scalar(
        _with_content(tenant_id)
        .where(CampaignVersion.campaign_id == campaign_id)
        .order_by(CampaignVersion.number.desc())
        .limit(1)
    )
    if version is None:
        campaigns.get(session, tenant_id, campaign_id)
        raise NotFound(f"The campaign {campaign_id} has no version.", "Import its file first.")
    return version


def of_campaign(session: Session, tenant_id: UUID, campaign_id: UUID) -> Sequence[CampaignVersion]:
    """All versions, newest first, without their configs (which load when looked at)."""
    return session.scalars(
        select(CampaignVersion)
        .where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.campaign_id == campaign_id)
        .order_by(CampaignVersion.number.desc())
    ).all()


def _with_content(tenant_id: UUID) -> Select[CampaignVersion]:
    return (
        select(CampaignVersion)
        .where(CampaignVersion.tenant_id == tenant_id)
        .options(undefer(CampaignVersion.config), undefer(CampaignVersion.secrets))
    )
