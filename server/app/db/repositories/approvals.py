"""Queries about approvals, and about the messages that they are bound to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import Job, VersionApproval
from app.mailer.domain.delivery.job import Decision, queueable
from app.mailer.domain.issues import EntryState

SORTABLE: dict[str, Sortable] = {"approved_at": VersionApproval.approved_at}
KEY = VersionApproval.id


def messages(session: Session, tenant_id: UUID, version_id: UUID) -> Iterator[tuple[str, str]]:
    """Entry id and hash of every message that the review gate lets through, in order.

    Also of those that left already: what was approved stays approved while it is being sent.
    """
    passing = [
        and_(Job.build_status == build, Job.decision.is_not_distinct_from(decision))
        for build in EntryState
        for decision in (None, *Decision)
        if queueable(build, decision)
    ]
    rows = session.execute(
        select(Job.entry_id, Job.sha256)
        .where(
            Job.tenant_id == tenant_id,
            Job.version_id == version_id,
            Job.sha256.is_not(None),
            or_(*passing),
        )
        .order_by(Job.position)
        .execution_options(yield_per=5000)
    )
    for entry_id, sha256 in rows:
        assert sha256 is not None
        yield entry_id, sha256


def add(session: Session, tenant_id: UUID, approval: VersionApproval) -> VersionApproval:
    approval.tenant_id = tenant_id
    session.add(approval)
    session.flush()
    return approval


def live(
    session: Session, tenant_id: UUID, version_ids: Collection[UUID]
) -> Sequence[VersionApproval]:
    """The approvals of some versions that nobody took back and nothing made void."""
    return session.scalars(
        select(VersionApproval)
        .where(
            VersionApproval.tenant_id == tenant_id,
            VersionApproval.version_id.in_(version_ids),
            VersionApproval.voided_at.is_(None),
        )
        .order_by(VersionApproval.approved_at)
    ).all()


def page(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[VersionApproval]:
    """A page of a version's approvals, the void ones too."""
    query = select(VersionApproval).where(
        VersionApproval.tenant_id == tenant_id, VersionApproval.version_id == version_id
    )
    return fetch(session, query, order, after=after, limit=limit)
