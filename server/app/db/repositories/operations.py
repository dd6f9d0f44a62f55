"""Queries about long work: who asked for it, who is at it, how far it is.

Whoever works on an operation holds it by its `fence`, which grows with each claim: what a worker
writes counts only as long as nobody else has taken the operation up after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import Campaign, CampaignVersion, Operation, OperationStatus
from app.db.repositories.delivery import moved
from app.mailer.domain.errors import NotFound

SORTABLE: dict[str, Sortable] = {"created_at": Operation.created_at}
KEY = Operation.id

#: Not over yet.
LIVE = (OperationStatus.QUEUED, OperationStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Which operations; what is None does not count."""

    kind: str | None = None
    status: OperationStatus | None = None
    campaign_id: UUID | None = None
    version_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """An operation as the worker that claimed it holds it."""

    id: UUID
    tenant_id: UUID
    fence: int


def add(session: Session, tenant_id: UUID, operation: Operation) -> Operation:
    operation.tenant_id = tenant_id
    session.add(operation)
    session.flush()
    return operation


def get(session: Session, tenant_id: UUID, operation_id: UUID) -> Operation:
    """The operation as it stands now; `NotFound` where the tenant has none of this id."""
    operation = session.scalar(
        select(Operation)
        .where(Operation.tenant_id == tenant_id, Operation.id == operation_id)
        .execution_options(populate_existing=True)
    )
    if operation is None:
        raise NotFound(f"There is no operation {operation_id}.")
    return operation


def page(
    session: Session,
    tenant_id: UUID,
    filters: OperationFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Operation]:
    """A page of the tenant's operations."""
    query = select(Operation).where(Operation.tenant_id == tenant_id)
    for column, value in (
        (Operation.kind, filters.kind),
        (Operation.status, filters.status),
        (Operation.campaign_id, filters.campaign_id),
        (Operation.version_id, filters.version_id),
    ):
        if value is not None:
            query = query.where(column == value)
    return fetch(session, query, order, after=after, limit=limit)


def lock_version(
    session: Session, tenant_id: UUID, version_id: UUID, campaign_id: UUID | None
) -> UUID:
    """The campaign of a version; nobody else can lock the version before the commit.

    Without its content, which may be large. `NotFound` where it is not the tenant's, or not of
    the campaign that is named.
    """
    found = session.scalar(
        select(CampaignVersion.campaign_id)
        .where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.id == version_id)
        .with_for_update()
    )
    if found is None or campaign_id not in (None, found):
        raise NotFound(f"There is no version {version_id}.", "The campaign's versions are listed.")
    return found


def lock_campaign(session: Session, tenant_id: UUID, campaign_id: UUID) -> None:
    """As `lock_version`, for a campaign as a whole."""
    found = session.scalar(
        select(Campaign.id)
        .where(Campaign.tenant_id == tenant_id, Campaign.id == campaign_id)
        .with_for_update()
    )
    if found is None:
        raise NotFound(f"There is no campaign {campaign_id}.")


def live_one(
    session: Session,
    tenant_id: UUID,
    kind: str,
    *,
    campaign_id: UUID | None,
    version_id: UUID | None,
) -> Operation | None:
    """The operation of this kind that waits or runs for the version, else for the campaign."""
    of = (
        Operation.version_id == version_id
        if version_id is not None
        else Operation.campaign_id == campaign_id
    )
    return session.scalar(
        select(Operation)
        .where(
            Operation.tenant_id == tenant_id,
            Operation.kind == kind,
            Operation.status.in_(LIVE),
            of,
        )
        .order_by(Operation.created_at)
        .limit(1)
    )


def count_live(session: Session, tenant_id: UUID, kind: str) -> int:
    """How many of this kind wait or run."""
    where = (
        Operation.tenant_id == tenant_id,
        Operation.kind == kind,
        Operation.status.in_(LIVE),
    )
    return session.scalar(select(func.count()).select_from(Operation).where(*where)) or 0


def request_cancel(session: Session, tenant_id: UUID, operation_id: UUID, now: datetime) -> bool:
    """Cancel one that waits, ask the worker of one that runs; False where it is over already."""
    own = (Operation.tenant_id == tenant_id, Operation.id == operation_id)
    waiting = session.execute(
        update(Operation)
        .where(*own, Operation.status == OperationStatus.QUEUED)
        .values(status=OperationStatus.CANCELLED, cancel_requested_at=now, finished_at=now)
        .execution_options(synchronize_session=False)
    )
    if moved(waiting):
        return True
    running = session.execute(
        update(Operation)
        .where(*own, Operation.status == OperationStatus.RUNNING)
        .values(cancel_requested_at=func.coalesce(Operation.cancel_requested_at, now))
        .execution_options(synchronize_session=False)
    )
    return moved(running) > 0


# ---------------------------------------------------------------- for workers: every tenant's


def any_due(session: Session, now: datetime) -> bool:
    """Whether a claim would find something."""
    return bool(session.scalar(select(exists().where(*_due(now)))))


def claim(
    session: Session, *, worker: str, now: datetime, lease_until: datetime
) -> Operation | None:
    """Take up the operation that waits longest, or whose worker's lease ran out.

    No two workers hold the same one, and no two operations of one version run at once: a unique
    index sees to that where two claims meet. The caller commits.
    """
    due = (
        select(Operation.id)
        .where(*_due(now))
        .order_by(Operation.created_at, Operation.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    statement = (
        update(Operation)
        .where(Operation.id.in_(select(due.c.id)), Operation.status.in_(LIVE))
        .values(
            status=OperationStatus.RUNNING,
            fence=Operation.fence + 1,
            tries=Operation.tries + 1,
            worker=worker,
            lease_until=lease_until,
            started_at=func.coalesce(Operation.started_at, now),
        )
        .returning(Operation)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    try:
        with session.begin_nested():
            return session.scalars(statement).one_or_none()
    except IntegrityError:
        return None


def beat(
    session: Session,
    held: Held,
    *,
    lease_until: datetime,
    phase: str | None = None,
    done: int = 0,
    total: int | None = None,
) -> tuple[bool, bool]:
    """Renew the lease, with `phase` also how far the work is.

    Whether it is still held, and whether somebody wants it cancelled.
    """
    values: dict[str, Any] = {"lease_until": lease_until}
    if phase is not None:
        values |= {"phase": phase, "done": done, "total": total}
    row = session.execute(
        update(Operation)
        .where(*_held(held))
        .values(values)
        .returning(Operation.cancel_requested_at)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    return row is not None, row is not None and row.cancel_requested_at is not None


def finish(
    session: Session,
    held: Held,
    status: OperationStatus,
    now: datetime,
    *,
    result: dict[str, Any] | None = None,
    problem: dict[str, Any] | None = None,
    progress: tuple[int, int | None] | None = None,
    campaign_id: UUID | None = None,
    version_id: UUID | None = None,
) -> bool:
    """The end of an operation; False where it is not held any more, and nothing changed.

    With `progress`, steps that are done and all there are, no phase of it is under way any more.
    """
    values: dict[str, Any] = {
        "status": status,
        "result": result,
        "problem": problem,
        "finished_at": now,
        "worker": None,
        "lease_until": None,
    }
    if progress is not None:
        values |= {"phase": "", "done": progress[0], "total": progress[1]}
    if campaign_id is not None:
        values["campaign_id"] = campaign_id
    if version_id is not None:
        values["version_id"] = version_id
    ended = session.execute(
        update(Operation)
        .where(*_held(held))
        .values(values)
        .execution_options(synchronize_session=False)
    )
    return moved(ended) == 1


def give_back(session: Session, held: Held) -> bool:
    """Let another worker take it up; this try does not count."""
    given = session.execute(
        update(Operation)
        .where(*_held(held))
        .values(
            status=OperationStatus.QUEUED,
            tries=Operation.tries - 1,
            worker=None,
            lease_until=None,
        )
        .execution_options(synchronize_session=False)
    )
    return moved(given) == 1


def _held(held: Held) -> tuple[ColumnElement[bool], ...]:
    return (
        Operation.tenant_id == held.tenant_id,
        Operation.id == held.id,
        Operation.fence == held.fence,
        Operation.status == OperationStatus.RUNNING,
    )


def _due(now: datetime) -> Sequence[ColumnElement[bool]]:
    other = aliased(Operation)
    busy = (
        select(other.id)
        .where(
            other.version_id == Operation.version_id,
            other.status == OperationStatus.RUNNING,
            other.id != Operation.id,
        )
        .exists()
    )
    return (
        or_(
            Operation.status == OperationStatus.QUEUED,
            and_(Operation.status == OperationStatus.RUNNING, Operation.lease_until < now),
        ),
        ~busy,
    )
