"""Queries about campaigns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Subquery, and_, case, exists, func, or_, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.locking import locked
from app.db.models import Campaign, CampaignVersion, Job, WorkflowState
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.errors import Conflict, NotFound
from app.mailer.domain.issues import EntryState

#: What lists of campaigns may be sorted by, and the key that makes an order unambiguous.
SORTABLE: dict[str, Sortable] = {
    "updated_at": Campaign.updated_at,
    "created_at": Campaign.created_at,
    "name": Campaign.name,
}
KEY = Campaign.id


@dataclass(frozen=True, slots=True)
class CampaignSummary:
    """A campaign as lists show it: with its last version, and that version's jobs counted."""

    id: UUID
    external_id: str
    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    version_id: UUID | None
    version_number: int | None
    mode: str | None
    workflow_state: WorkflowState | None
    build_counts: Counter[EntryState]
    send_counts: Counter[SendStatus]


def find_by_external_id(
    session: Session, tenant_id: UUID, external_id: str, *, lock: bool = False
) -> Campaign | None:
    query = select(Campaign).where(
        Campaign.tenant_id == tenant_id, Campaign.external_id == external_id
    )
    return session.scalar(locked(query, key_share=True) if lock else query)


def get(session: Session, tenant_id: UUID, campaign_id: UUID, *, lock: bool = False) -> Campaign:
    """The campaign; `NotFound` where the tenant has none of this id, or (with `lock`) no more."""
    query = select(Campaign).where(Campaign.tenant_id == tenant_id, Campaign.id == campaign_id)
    campaign = session.scalar(locked(query, key_share=True) if lock else query)
    if campaign is None:
        raise NotFound(
            f"There is no campaign {campaign_id}.", "Take an id from the list of campaigns."
        )
    return campaign


def put(
    session: Session,
    tenant_id: UUID,
    *,
    external_id: str,
    name: str,
    description: str,
    now: datetime,
) -> Campaign:
    """The campaign of this external id, made where it is new, else with name and text renewed.

    Two that put the same one at once get the same row.
    """
    campaign = find_by_external_id(session, tenant_id, external_id, lock=True)
    if campaign is None:
        campaign = Campaign(
            tenant_id=tenant_id,
            external_id=external_id,
            name=name,
            description=description,
            created_at=now,
            updated_at=now,
        )
        try:
            with session.begin_nested():
                session.add(campaign)
        except IntegrityError:
            campaign = find_by_external_id(session, tenant_id, external_id, lock=True)
            if campaign is None:
                raise
        else:
            return campaign
    campaign.name = name
    campaign.description = description
    campaign.updated_at = now
    session.flush()
    return campaign


def summaries(session: Session, tenant_id: UUID) -> Sequence[CampaignSummary]:
    """All campaigns of the tenant, the one changed last first; two statements however many."""
    last = _last_numbers(tenant_id)
    rows = session.execute(
        select(
            Campaign,
            CampaignVersion.id,
            CampaignVersion.number,
            CampaignVersion.mode,
            CampaignVersion.workflow_state,
        )
        .outerjoin(last, last.c.campaign_id == Campaign.id)
        .outerjoin(
            CampaignVersion,
            and_(
                CampaignVersion.campaign_id == last.c.campaign_id,
                CampaignVersion.number == last.c.number,
            ),
        )
        .where(Campaign.tenant_id == tenant_id)
        .order_by(Campaign.updated_at.desc(), Campaign.id)
    ).all()
    build: dict[UUID, Counter[EntryState]] = {}
    send: dict[UUID, Counter[SendStatus]] = {}
    counted = session.execute(
        select(Job.version_id, Job.build_status, Job.send_status, func.count())
        .join(CampaignVersion, CampaignVersion.id == Job.version_id)
        .join(
            last,
            and_(
                last.c.campaign_id == CampaignVersion.campaign_id,
                last.c.number == CampaignVersion.number,
            ),
        )
        .where(Job.tenant_id == tenant_id)
        .group_by(Job.version_id, Job.build_status, Job.send_status)
    )
    for version_id, build_status, send_status, count in counted:
        build.setdefault(version_id, Counter())[build_status] += count
        send.setdefault(version_id, Counter())[send_status] += count
    return [
        CampaignSummary(
            id=campaign.id,
            external_id=campaign.external_id,
            name=campaign.name,
            description=campaign.description,
            created_at=campaign.created_at,
            updated_at=campaign.updated_at,
            version_id=version_id,
            version_number=number,
            mode=mode,
            workflow_state=state,
            build_counts=build.get(version_id, Counter()),
            send_counts=send.get(version_id, Counter()),
        )
        for campaign, version_id, number, mode, state in rows
    ]


@dataclass(frozen=True, slots=True)
class CampaignFilter:
    """Which campaigns a list shows; None: whatever it is.

    `search` is a part of the name or the external id; `workflow_state` is that of the
    newest version, or of the newest that is built.
    """

    archived: bool | None = False
    search: str | None = None
    workflow_state: WorkflowState | None = None


def page(
    session: Session,
    tenant_id: UUID,
    filters: CampaignFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Campaign]:
    """A page of the tenant's campaigns."""
    query = select(Campaign).where(Campaign.tenant_id == tenant_id)
    if filters.archived is not None:
        there = Campaign.archived_at.is_not(None)
        query = query.where(there if filters.archived else ~there)
    if filters.search:
        part = filters.search.lower()
        query = query.where(
            or_(
                func.lower(Campaign.name).contains(part, autoescape=True),
                Campaign.external_id.contains(part, autoescape=True),
            )
        )
    if filters.workflow_state is not None:
        newer = aliased(CampaignVersion)
        is_newer = and_(
            newer.campaign_id == CampaignVersion.campaign_id,
            newer.number > CampaignVersion.number,
        )
        query = query.where(
            exists().where(
                CampaignVersion.tenant_id == tenant_id,
                CampaignVersion.campaign_id == Campaign.id,
                CampaignVersion.workflow_state == filters.workflow_state,
                or_(
                    ~exists().where(is_newer),
                    and_(
                        CampaignVersion.built_at.is_not(None),
                        ~exists().where(is_newer, newer.built_at.is_not(None)),
                    ),
                ),
            )
        )
    return fetch(session, query, order, after=after, limit=limit)


def add(session: Session, tenant_id: UUID, campaign: Campaign) -> Campaign:
    """Stores a new campaign; `Conflict` where the tenant has one of its external id."""
    campaign.tenant_id = tenant_id
    try:
        with session.begin_nested():
            session.add(campaign)
    except IntegrityError as error:
        if find_by_external_id(session, tenant_id, campaign.external_id) is None:
            raise
        raise Conflict(
            f"There is a campaign {campaign.external_id} already.", "Choose another id."
        ) from error
    return campaign


def was_queued(session: Session, tenant_id: UUID, campaign_id: UUID) -> bool:
    """Whether any message of the campaign was ever released for sending."""
    return bool(
        session.scalar(
            select(
                exists().where(
                    Job.tenant_id == tenant_id,
                    Job.campaign_id == campaign_id,
                    or_(Job.queued_at.is_not(None), Job.send_status != SendStatus.UNQUEUED),
                )
            )
        )
    )


def delete(session: Session, tenant_id: UUID, campaign_id: UUID) -> None:
    """Deletes a campaign with all its versions and jobs, once nobody works on one of those."""
    session.scalars(
        select(CampaignVersion.id)
        .where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.campaign_id == campaign_id)
        .order_by(CampaignVersion.id)
        .with_for_update()
    ).all()
    session.execute(
        sql_delete(Campaign).where(Campaign.tenant_id == tenant_id, Campaign.id == campaign_id)
    )


def released_counts(
    session: Session, tenant_id: UUID, campaign_id: UUID
) -> dict[UUID, tuple[int, int]]:
    """By version: how many messages were ever queued, and how many of those are cancelled now."""
    rows = session.execute(
        select(
            Job.version_id,
            func.count(),
            func.sum(case((Job.send_status == SendStatus.CANCELLED, 1), else_=0)),
        )
        .where(
            Job.tenant_id == tenant_id,
            Job.campaign_id == campaign_id,
            or_(Job.queued_at.is_not(None), Job.send_status != SendStatus.UNQUEUED),
        )
        .group_by(Job.version_id)
    )
    return {version_id: (count, int(cancelled)) for version_id, count, cancelled in rows}


def _last_numbers(tenant_id: UUID) -> Subquery:
    return (
        select(CampaignVersion.campaign_id, func.max(CampaignVersion.number).label("number"))
        .where(CampaignVersion.tenant_id == tenant_id)
        .group_by(CampaignVersion.campaign_id)
        .subquery()
    )


def hold(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    *,
    until: datetime | None,
    reason: str | None,
    holds: int,
) -> None:
    """Have workers try nothing of a campaign before `until`; None lets it go."""
    _set(session, tenant_id, campaign_id, held_until=until, hold_reason=reason, holds=holds)


def hold_copies(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    *,
    until: datetime | None,
    reason: str | None,
    holds: int,
) -> None:
    """Have workers file no copy of a campaign's letters before `until`; None lets it go."""
    _set(
        session,
        tenant_id,
        campaign_id,
        append_held_until=until,
        append_hold_reason=reason,
        append_holds=holds,
    )


def _set(session: Session, tenant_id: UUID, campaign_id: UUID, **values: Any) -> None:
    session.execute(
        update(Campaign)
        .where(Campaign.tenant_id == tenant_id, Campaign.id == campaign_id)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def lock(session: Session, tenant_id: UUID, campaign_id: UUID) -> Campaign:
    """As `get`, and nobody else can lock the campaign before the commit.

    Whoever holds one may wait for a version. So it must not keep the build, which holds that
    version, from storing jobs that refer to the campaign: hence the weaker lock on Postgres.
    """
    return get(session, tenant_id, campaign_id, lock=True)
