"""All tries about one job, to send it and to file its copy, in the order of time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Subquery, select, union_all
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, fetch
from app.db.models import ImapAppendAttempt, SendAttempt

Attempt = SendAttempt | ImapAppendAttempt


def timeline(tenant_id: UUID, job_id: UUID) -> Subquery:
    """When each try began (`at`), and a `key` for it: even for sending, odd for filing."""
    sends = select(SendAttempt.claimed_at.label("at"), (SendAttempt.id * 2).label("key")).where(
        SendAttempt.tenant_id == tenant_id, SendAttempt.job_id == job_id
    )
    appends = select(ImapAppendAttempt.started_at, ImapAppendAttempt.id * 2 + 1).where(
        ImapAppendAttempt.tenant_id == tenant_id, ImapAppendAttempt.job_id == job_id
    )
    return union_all(sends, appends).subquery()


def page(
    session: Session,
    tenant_id: UUID,
    tries: Subquery,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Attempt]:
    """A page of `timeline`, as the rows themselves."""
    found = fetch(session, select(tries.c.key), order, after=after, limit=limit)
    sends = session.scalars(
        select(SendAttempt).where(
            SendAttempt.tenant_id == tenant_id,
            SendAttempt.id.in_([key // 2 for key in found.rows if key % 2 == 0]),
        )
    )
    appends = session.scalars(
        select(ImapAppendAttempt).where(
            ImapAppendAttempt.tenant_id == tenant_id,
            ImapAppendAttempt.id.in_([key // 2 for key in found.rows if key % 2 == 1]),
        )
    )
    by_key: dict[int, Attempt] = {each.id * 2: each for each in sends}
    by_key |= {each.id * 2 + 1: each for each in appends}
    return Slice([by_key[key] for key in found.rows], found.next_after)
