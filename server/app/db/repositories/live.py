"""What somebody who watches a campaign asks for every second.

Each statement looks into one index, or at few rows: letters leave in the order of their positions,
so what happened last, and what is due next, is at one end of those in a state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Subquery, exists, func, select, union_all
from sqlalchemy.orm import Session

from app.db.models import CampaignVersion, Job, SendAttempt
from app.mailer.domain.delivery.job import Event, ImapStatus, SendStatus, sources_of
from app.mailer.domain.version import WorkflowState

#: How many jobs of a state are looked at for times, which stand in no index.
PROBE = 1_000
#: Those that a worker holds.
IN_HAND = (SendStatus.CLAIMED, SendStatus.COMMITTING)
_TROUBLE = (SendStatus.FAILED, SendStatus.DEFERRED, SendStatus.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class BuiltVersion:
    """A version that has letters; `revision` grows with each change of it."""

    id: UUID
    number: int
    mode: str
    workflow_state: WorkflowState
    starts_at: datetime | None
    revision: int
    build_id: UUID | None


@dataclass(frozen=True, slots=True)
class Activity:
    """When a job was claimed last, and when the next one that nobody holds is, or was, due."""

    claimed_at: datetime | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fault:
    """A letter that did not go out as it should, and what was said of it last."""

    at: datetime | None
    entry_id: str
    version_id: UUID
    send_status: SendStatus
    code: int | None
    reply: str | None
    error: str | None


def built_versions(session: Session, tenant_id: UUID, campaign_id: UUID) -> list[BuiltVersion]:
    """The versions of a campaign that are built, newest first."""
    rows = session.execute(
        select(
            CampaignVersion.id,
            CampaignVersion.number,
            CampaignVersion.mode,
            CampaignVersion.workflow_state,
            CampaignVersion.starts_at,
            CampaignVersion.revision,
            CampaignVersion.build_id,
        )
        .where(
            CampaignVersion.tenant_id == tenant_id,
            CampaignVersion.campaign_id == campaign_id,
            CampaignVersion.built_at.is_not(None),
        )
        .order_by(CampaignVersion.number.desc())
    )
    return [BuiltVersion(*row) for row in rows]


def letters(
    session: Session, tenant_id: UUID, version_id: UUID, *, but: SendStatus | None = None
) -> Counter[SendStatus]:
    """A version's letters by send status, from the index alone; those of `but` are not counted.

    Whoever knows how many there are leaves the most frequent state out: that halves the work.
    """
    wanted = [each for each in SendStatus if each is not but]
    rows = session.execute(
        select(Job.send_status, func.count())
        .where(*_of(tenant_id, version_id), Job.send_status.in_(wanted))
        .group_by(Job.send_status)
    )
    return Counter(dict(rows.all()))


def copies(
    session: Session, tenant_id: UUID, version_id: UUID, *, but: ImapStatus | None = None
) -> Counter[ImapStatus]:
    """Their copies for the Sent folder, as `letters`."""
    wanted = [each for each in ImapStatus if each is not but]
    rows = session.execute(
        select(Job.imap_status, func.count())
        .where(*_of(tenant_id, version_id), Job.imap_status.in_(wanted))
        .group_by(Job.imap_status)
    )
    return Counter(dict(rows.all()))


def activity(session: Session, tenant_id: UUID, version_ids: Collection[UUID]) -> Activity:
    """When a letter that is held was claimed last, and when the next of the others is due."""
    claimed = [
        _ends(tenant_id, version_id, status, Job.position.desc(), Job.claimed_at.label("at"))
        for version_id in version_ids
        for status in IN_HAND
    ]
    due = [
        _ends(tenant_id, version_id, status, Job.position, Job.due_at.label("at"))
        for version_id in version_ids
        for status in sources_of(Event.CLAIM)
    ]
    if not version_ids:
        return Activity(None, None)
    last = union_all(*(select(each.c.at) for each in claimed)).subquery()
    first = union_all(*(select(each.c.at) for each in due)).subquery()
    row = session.execute(
        select(
            select(func.max(last.c.at)).scalar_subquery(),
            select(func.min(first.c.at)).scalar_subquery(),
        )
    ).one()
    return Activity(row[0], row[1])


def last_sent(
    session: Session, tenant_id: UUID, version_ids: Collection[UUID], since: datetime
) -> list[datetime]:
    """When letters were sent since then, the last ones: at most `PROBE` of each version."""
    found: list[datetime] = []
    for version_id in version_ids:
        last = _ends(
            tenant_id, version_id, SendStatus.SENT, Job.position.desc(), Job.sent_at.label("at")
        )
        moments = session.scalars(select(last.c.at).where(last.c.at >= since))
        found += [each for each in moments if each is not None]
    return sorted(found, reverse=True)


def faults(
    session: Session, tenant_id: UUID, version_ids: Collection[UUID], *, limit: int
) -> Sequence[Fault]:
    """The letters that met trouble last, the last first, among `PROBE` of each version and state.

    The time is that of the answer, else of the claim.
    """
    if not version_ids:
        return []
    lasts = [
        _ends(tenant_id, version_id, status, Job.position.desc(), Job.id, Job.claimed_at)
        for version_id in version_ids
        for status in _TROUBLE
    ]
    tried = union_all(*(select(each.c.id, each.c.claimed_at) for each in lasts)).subquery()
    ids = session.scalars(
        select(tried.c.id).order_by(tried.c.claimed_at.desc().nulls_last()).limit(limit)
    ).all()
    answered = (
        select(func.max(SendAttempt.replied_at))
        .where(SendAttempt.tenant_id == tenant_id, SendAttempt.job_id == Job.id)
        .scalar_subquery()
    )
    at = func.coalesce(answered, Job.claimed_at)
    rows = session.execute(
        select(
            at,
            Job.entry_id,
            Job.version_id,
            Job.send_status,
            Job.last_code,
            Job.last_reply,
            Job.last_error,
        )
        .where(Job.tenant_id == tenant_id, Job.id.in_(ids))
        .order_by(at.desc().nulls_last(), Job.position)
    )
    return [Fault(*row) for row in rows]


def _ends(
    tenant_id: UUID, version_id: UUID, status: SendStatus, order: Any, *columns: Any
) -> Subquery:
    """The first `PROBE` jobs in a state, read along the index and no further."""
    return (
        select(*columns)
        .where(*_of(tenant_id, version_id), Job.send_status == status)
        .order_by(order)
        .limit(PROBE)
        .subquery()
    )


def _of(tenant_id: UUID, version_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """Jobs of the tenant's own version.

    The tenant is asked of the version, once: the index of its jobs does not have it, and each row
    would have to be looked at for it.
    """
    own = exists().where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.id == version_id)
    return Job.version_id == version_id, own
