"""Queries about letters in doubt that are looked for in the Sent folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from app.db.models import AttemptOutcome, CampaignVersion, Job, SendAttempt
from app.db.repositories.delivery import lock_in_order, moved
from app.mailer.domain.delivery.filing import LOOKS
from app.mailer.domain.delivery.job import Event, ImapStatus, SendStatus, sources_of, target_of


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A letter whose last try ended without an answer, under this fence."""

    id: UUID
    version_id: UUID
    entry_id: str
    fence: int
    message_id: str
    look_count: int


def look_is_due(now: datetime) -> ColumnElement[bool]:
    """Of a job: a worker may look for the letter now."""
    first = Job.look_due_at.is_(None) & (Job.claimed_at <= now - LOOKS[0])
    return (
        (Job.send_status == SendStatus.IN_DOUBT)
        & (Job.look_count < len(LOOKS))
        & or_(Job.look_due_at <= now, first)
    )


def page(
    session: Session,
    tenant_id: UUID,
    campaign_id: UUID,
    *,
    due_at: datetime | None,
    looked_before: datetime,
    limit: int,
) -> Sequence[Doubtful]:
    """Up to `limit` letters of a campaign that are in doubt, least looked for first.

    With `due_at` only those that a worker is to look for then; in any case none that was looked
    for since `looked_before`.
    """
    wanted = look_is_due(due_at) if due_at else Job.send_status == SendStatus.IN_DOUBT
    rows = session.execute(
        select(Job.id, Job.version_id, Job.entry_id, Job.fence, Job.message_id, Job.look_count)
        .join(CampaignVersion, CampaignVersion.id == Job.version_id)
        .where(
            Job.tenant_id == tenant_id,
            CampaignVersion.campaign_id == campaign_id,
            Job.message_id.is_not(None),
            wanted,
            or_(Job.looked_at.is_(None), Job.looked_at < looked_before),
        )
        .order_by(Job.look_count, CampaignVersion.number, Job.position)
        .limit(limit)
    )
    return [
        Doubtful(
            row.id, row.version_id, row.entry_id, row.fence, row.message_id or "", row.look_count
        )
        for row in rows
    ]


def count(session: Session, tenant_id: UUID, campaign_id: UUID) -> int:
    """How many letters of a campaign are in doubt."""
    counted = (
        select(func.count())
        .select_from(Job)
        .join(CampaignVersion, CampaignVersion.id == Job.version_id)
        .where(
            Job.tenant_id == tenant_id,
            CampaignVersion.campaign_id == campaign_id,
            Job.send_status == SendStatus.IN_DOUBT,
        )
    )
    return session.scalar(counted) or 0


def prove(
    session: Session,
    tenant_id: UUID,
    found: Sequence[Doubtful],
    *,
    copy_is_wanted: bool,
    now: datetime,
    words: str,
) -> list[Doubtful]:
    """Letters whose copy was found: they were sent. Returns those that still were in doubt.

    `copy_is_wanted`: the copy that was found is the one that was to be filed. `words` are kept with
    the job and its try.
    """
    lock_in_order(session, tenant_id, [each.id for each in found])
    return [each for each in found if _prove(session, tenant_id, each, copy_is_wanted, now, words)]


def note_absent(
    session: Session,
    tenant_id: UUID,
    absent: Sequence[Doubtful],
    *,
    now: datetime,
    next_at: Mapping[UUID, datetime | None],
) -> None:
    """These were looked for and are not there; `next_at` has when to look for each again."""
    lock_in_order(session, tenant_id, [each.id for each in absent])
    for each in absent:
        session.execute(
            update(Job)
            .where(*_same(tenant_id, each), Job.look_count == each.look_count)
            .values(look_count=each.look_count + 1, looked_at=now, look_due_at=next_at[each.id])
            .execution_options(synchronize_session=False)
        )


def put_off(
    session: Session, tenant_id: UUID, letters: Sequence[Doubtful], until: datetime
) -> None:
    """There is nowhere to look for these now; it is no look."""
    lock_in_order(session, tenant_id, [each.id for each in letters])
    for each in letters:
        session.execute(
            update(Job)
            .where(*_same(tenant_id, each))
            .values(look_due_at=until)
            .execution_options(synchronize_session=False)
        )


def _prove(
    session: Session,
    tenant_id: UUID,
    each: Doubtful,
    copy_is_wanted: bool,
    now: datetime,
    words: str,
) -> bool:
    own_try = (
        SendAttempt.tenant_id == tenant_id,
        SendAttempt.job_id == each.id,
        SendAttempt.fence == each.fence,
    )
    left_at = session.scalar(
        select(func.coalesce(SendAttempt.data_started_at, SendAttempt.claimed_at)).where(*own_try)
    )
    values: dict[str, Any] = {
        "send_status": target_of(Event.FIND_EVIDENCE),
        "worker": None,
        "lease_until": None,
        "due_at": None,
        "sent_at": left_at or now,
        "last_error": words,
        "imap_status": ImapStatus.NOT_REQUESTED,
    }
    if copy_is_wanted:
        values |= {"imap_status": ImapStatus.APPENDED, "appended_at": now}
    won = moved(
        session.execute(
            update(Job)
            .where(*_same(tenant_id, each))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
    )
    if not won:
        return False
    session.execute(
        update(SendAttempt)
        .where(*own_try)
        .values(replied_at=now, outcome=AttemptOutcome.ACCEPTED, reply=words)
        .execution_options(synchronize_session=False)
    )
    return True


def _same(tenant_id: UUID, each: Doubtful) -> tuple[ColumnElement[bool], ...]:
    return (
        Job.tenant_id == tenant_id,
        Job.id == each.id,
        Job.fence == each.fence,
        Job.send_status.in_(sources_of(Event.FIND_EVIDENCE)),
    )
