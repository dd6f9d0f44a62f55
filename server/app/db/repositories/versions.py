"""Queries about the versions of a campaign.

Whoever locks a version and its campaign, or its jobs: the campaign first, the jobs last.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, undefer

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.locking import locked
from app.db.models import CampaignVersion
from app.db.repositories import campaigns
from app.mailer.domain.errors import Conflict, NotFound
from app.mailer.domain.version import VersionEvent, WorkflowState, sources_of

#: What lists of versions may be sorted by, and the key that makes an order unambiguous.
SORTABLE: dict[str, Sortable] = {
    "number": CampaignVersion.number,
    "created_at": CampaignVersion.created_at,
}
KEY = CampaignVersion.id

_UNDER_REVIEW = WorkflowState.UNDER_REVIEW
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
    version = session.scalar(locked(query) if lock else query)
    if version is None:
        raise NotFound(
            f"There is no version {version_id}.",
            "Take an id from the campaign's versions.",
        )
    return version


def state_of(session: Session, tenant_id: UUID, version_id: UUID) -> WorkflowState:
    """Where a version that is there stands, without its content."""
    return session.scalars(
        select(CampaignVersion.workflow_state).where(
            CampaignVersion.tenant_id == tenant_id, CampaignVersion.id == version_id
        )
    ).one()


def build_of(session: Session, tenant_id: UUID, version_id: UUID) -> UUID | None:
    """Which build of a version counts; nobody else can change it until the commit.

    Without the version's content, which a build would otherwise read with each portion.
    """
    return session.scalar(
        select(CampaignVersion.build_id)
        .where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.id == version_id)
        .with_for_update()
    )


def find(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    version_id: UUID | None,
    *,
    content: bool = False,
    lock: bool = False,
) -> CampaignVersion | None:
    """The campaign's own version of this id; with None its newest built one, else its newest.

    Without `content` its config, which can be large, is not there. With `lock` nobody else can
    change it until the commit.
    """
    query = _with_content(tenant_id) if content else _without_content(tenant_id)
    query = query.where(CampaignVersion.campaign_id == campaign_id)
    if lock:
        query = locked(query)
    if version_id is not None:
        return session.scalar(query.where(CampaignVersion.id == version_id))
    built_first = (CampaignVersion.built_at.is_(None), CampaignVersion.number.desc())
    return session.scalar(query.order_by(*built_first).limit(1))


def newest_id(session: Session, tenant_id: UUID, campaign_id: UUID) -> UUID | None:
    """The version of the highest number, built or not."""
    return session.scalar(
        select(CampaignVersion.id)
        .where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.campaign_id == campaign_id)
        .order_by(CampaignVersion.number.desc())
        .limit(1)
    )


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


def of_campaign(
    session: Session, tenant_id: UUID, campaign_id: UUID, *, lock: bool = False
) -> Sequence[CampaignVersion]:
    """All versions, newest first, without their configs (which load when looked at).

    With `lock` nobody else can change any of them until the commit.
    """
    query = _without_content(tenant_id).where(CampaignVersion.campaign_id == campaign_id)
    if not lock:
        return session.scalars(query.order_by(CampaignVersion.number.desc())).all()
    # In the order in which everybody locks several.
    found = session.scalars(locked(query).order_by(CampaignVersion.id))
    return sorted(found, key=lambda version: version.number, reverse=True)


def page(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[CampaignVersion]:
    """A page of a campaign's versions, without their configs."""
    query = _without_content(tenant_id).where(CampaignVersion.campaign_id == campaign_id)
    return fetch(session, query, order, after=after, limit=limit)


def newest_of(
    session: Session, tenant_id: UUID, campaign_ids: Collection[UUID], *, built: bool = False
) -> dict[UUID, CampaignVersion]:
    """The newest (built) version of each campaign, without its config, by campaign."""
    last = (
        select(func.max(CampaignVersion.number).label("number"), CampaignVersion.campaign_id)
        .where(
            CampaignVersion.tenant_id == tenant_id,
            CampaignVersion.campaign_id.in_(campaign_ids),
            *([CampaignVersion.built_at.is_not(None)] if built else []),
        )
        .group_by(CampaignVersion.campaign_id)
        .subquery()
    )
    found = session.scalars(
        _without_content(tenant_id).join(
            last,
            and_(
                last.c.campaign_id == CampaignVersion.campaign_id,
                last.c.number == CampaignVersion.number,
            ),
        )
    )
    return {version.campaign_id: version for version in found}


def newest_unbuilt(session: Session, tenant_id: UUID, campaign_id: UUID) -> CampaignVersion | None:
    """The newest version that is still being written or reviewed."""
    return session.scalar(
        _with_content(tenant_id)
        .where(
            CampaignVersion.campaign_id == campaign_id,
            CampaignVersion.workflow_state.in_(sources_of(VersionEvent.SAVE) | {_UNDER_REVIEW}),
        )
        .order_by(CampaignVersion.number.desc())
        .limit(1)
    )


def newest_unbuilt_number(session: Session, tenant_id: UUID, campaign_id: UUID) -> int:
    """Its number, 0 where there is none."""
    return (
        session.scalar(
            select(func.max(CampaignVersion.number)).where(
                CampaignVersion.tenant_id == tenant_id,
                CampaignVersion.campaign_id == campaign_id,
                CampaignVersion.workflow_state.in_(sources_of(VersionEvent.SAVE) | {_UNDER_REVIEW}),
            )
        )
        or 0
    )


def _without_content(tenant_id: UUID) -> Select[CampaignVersion]:
    return select(CampaignVersion).where(CampaignVersion.tenant_id == tenant_id)


def _with_content(tenant_id: UUID) -> Select[CampaignVersion]:
    return (
        select(CampaignVersion)
        .where(CampaignVersion.tenant_id == tenant_id)
        .options(undefer(CampaignVersion.config), undefer(CampaignVersion.secrets))
    )
