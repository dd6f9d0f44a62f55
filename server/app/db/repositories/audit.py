"""Queries about the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db.models import AuditCounter, AuditEntry


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; what is None is not asked for. Times: `since` <= at < `until`."""

    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    actor_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    offset: int = 0


def next_sequence(session: Session, tenant_id: UUID) -> int:
    """The tenant's next number, without gaps.

    It locks the tenant's counter until the transaction ends, and a rollback takes the number back;
    so ask for it late in a transaction.
    """
    return session.execute(_upsert(session, tenant_id).returning(AuditCounter.last)).scalar_one()


def _upsert(session: Session, tenant_id: UUID) -> Insert:
    values = {"tenant_id": tenant_id, "last": 1}
    step = {"last": AuditCounter.last + 1}
    if session.get_bind().dialect.name == "sqlite":
        return (
            sqlite.insert(AuditCounter)
            .values(values)
            .on_conflict_do_update(index_elements=["tenant_id"], set_=step)
        )
    return (
        postgresql.insert(AuditCounter)
        .values(values)
        .on_conflict_do_update(index_elements=["tenant_id"], set_=step)
    )


def add_entry(session: Session, tenant_id: UUID, entry: AuditEntry) -> AuditEntry:
    """Stores `entry` under the tenant's next sequence number."""
    entry.tenant_id = tenant_id
    entry.sequence = next_sequence(session, tenant_id)
    session.add(entry)
    session.flush()
    return entry


def entries(session: Session, tenant_id: UUID, wanted: AuditFilter) -> Sequence[AuditEntry]:
    """The entries that fit, newest first."""
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant_id)
    for column, value in (
        (AuditEntry.action, wanted.action),
        (AuditEntry.object_type, wanted.object_type),
        (AuditEntry.object_id, wanted.object_id),
        (AuditEntry.actor_id, wanted.actor_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditEntry.at < wanted.until)
    query = query.order_by(AuditEntry.sequence.desc()).limit(wanted.limit).offset(wanted.offset)
    return session.scalars(query).all()
