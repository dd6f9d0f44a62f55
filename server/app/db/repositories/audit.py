"""Queries about the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, Select, event, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, SessionTransaction

from app.db.models import (
    AuditCounter,
    AuditEntry,
    Campaign,
    Group,
    MailAccount,
    StoredFile,
    Tenant,
    User,
)
from app.mailer.domain.audit_chain import Head, Link, content_hash, genesis, link, moment
from app.mailer.domain.storable import clean_text

#: An entry, or its columns alone.
EntryRow: TypeAlias = AuditEntry | Row[Any]

#: What the list can be sorted by, and which column makes a place in it unique.
SORTABLE = {"sequence": AuditEntry.sequence}
KEY = AuditEntry.sequence

#: Where a session keeps the entries that its commit will chain.
_WAITING = "audit entries that wait for the commit"


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


def add_entry(session: Session, tenant_id: UUID, entry: AuditEntry) -> AuditEntry:
    """Makes `entry` (complete but for its place in the chain) the tenant's next, when and if the
    transaction commits; it has neither number nor hash before.

    A chain is a lock for all of a tenant's changes. Taken last of all, and by every transaction, it
    is held for as short as can be, and closes no circle of transactions that wait for each other.
    """
    # What a savepoint takes back would be recorded all the same.
    assert not session.in_nested_transaction(), "record outside of savepoints"
    if not session.in_transaction():
        session.begin()  # or a rollback would have nothing to take back
    entry.tenant_id = tenant_id
    session.info.setdefault(_WAITING, []).append(entry)
    return entry


@event.listens_for(Session, "before_commit")
def _chain_what_waits(session: Session) -> None:
    if session.in_nested_transaction():
        return
    waiting: list[AuditEntry] = session.info.pop(_WAITING, [])
    if not waiting:
        return
    session.flush()  # every other lock comes before the chain's
    for tenant_id in sorted({entry.tenant_id for entry in waiting}):
        own = [entry for entry in waiting if entry.tenant_id == tenant_id]
        last, previous = _next_places(session, tenant_id, len(own))
        for sequence, entry in enumerate(own, last - len(own) + 1):
            entry.sequence, entry.previous_hash = sequence, previous
            entry.hash = previous = link(previous, content_hash(chain_fields(entry)))
        session.add_all(own)
        session.execute(
            update(AuditCounter).where(AuditCounter.tenant_id == tenant_id).values(hash=previous)
        )


@event.listens_for(Session, "after_transaction_end")
def _forget_what_waits(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_WAITING, None)


def chain_fields(entry: EntryRow) -> dict[str, Any]:
    """An entry as the plain values that its hash is over."""
    return {
        "id": str(entry.id),
        "tenant_id": str(entry.tenant_id),
        "sequence": entry.sequence,
        "at": moment(entry.at),
        "actor_kind": entry.actor_kind,
        "actor_id": entry.actor_id,
        "actor_name": entry.actor_name,
        "address": entry.address,
        "action": entry.action,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "details": entry.details,
        "before": entry.before,
        "after": entry.after,
    }


def link_of(entry: EntryRow) -> Link:
    """An entry as the chain sees it."""
    content = content_hash(chain_fields(entry))
    return Link(entry.sequence, entry.previous_hash, content, entry.hash)


def _next_places(session: Session, tenant_id: UUID, count: int) -> tuple[int, str]:
    """The last of the tenant's next `count` numbers, without gaps, and the hash before the first.

    It locks the tenant's counter until the transaction ends, and a rollback takes the numbers back.
    """
    insert: Any = (
        sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    )
    statement = (
        insert(AuditCounter)
        .values(tenant_id=tenant_id, last=count, hash=genesis(tenant_id))
        .on_conflict_do_update(
            index_elements=["tenant_id"], set_={"last": AuditCounter.last + count}
        )
        .returning(AuditCounter.last, AuditCounter.hash)
    )
    last, previous = session.execute(statement).one()
    return last, previous


def entries(session: Session, tenant_id: UUID, wanted: AuditFilter) -> Sequence[AuditEntry]:
    """The entries that fit, newest first."""
    query = matching(tenant_id, wanted).order_by(AuditEntry.sequence.desc())
    return session.scalars(query.limit(wanted.limit).offset(wanted.offset)).all()


def matching(tenant_id: UUID, wanted: AuditFilter) -> Select[AuditEntry]:
    """All entries that fit, in no order."""
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant_id)
    for column, value in (
        (AuditEntry.action, wanted.action),
        (AuditEntry.object_type, wanted.object_type),
        (AuditEntry.object_id, wanted.object_id),
        (AuditEntry.actor_id, wanted.actor_id),
    ):
        if value is not None:
            # What Postgres takes for no text cannot have been recorded either.
            query = query.where(column == clean_text(value))
    if wanted.since is not None:
        query = query.where(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditEntry.at < wanted.until)
    return query


def head(session: Session, tenant_id: UUID) -> Head | None:
    """The head of the tenant's chain as it is noted beside the entries; None: never any entry."""
    counter = session.scalar(select(AuditCounter).where(AuditCounter.tenant_id == tenant_id))
    return None if counter is None else Head(counter.last, counter.hash)


def has_what_is_recorded(session: Session, tenant_id: UUID, *, but_user: str) -> bool:
    """Whether the tenant has something whose making is an entry; the user `but_user` is not."""
    made = [
        select(row.id).where(row.tenant_id == tenant_id)
        for row in (Campaign, Group, MailAccount, StoredFile)
    ]
    made.append(select(User.id).where(User.tenant_id == tenant_id, User.email != but_user))
    return any(session.scalar(each.limit(1)) is not None for each in made)


def tenants(session: Session) -> Sequence[Tenant]:
    """Every tenant, each with a log of its own: for the operator of the machine alone."""
    return session.scalars(select(Tenant).order_by(Tenant.slug)).all()


def in_order(
    session: Session, tenant_id: UUID, *, after: int | None, limit: int
) -> Sequence[EntryRow]:
    """The next entries behind `after` (None: from the very first, whatever its number)."""
    # As rows: the session keeps none of them, however long the log is.
    query = select(*AuditEntry.__table__.columns).where(AuditEntry.tenant_id == tenant_id)
    if after is not None:
        query = query.where(AuditEntry.sequence > after)
    return session.execute(query.order_by(AuditEntry.sequence).limit(limit)).all()


def next_number(session: Session, tenant_id: UUID, after: int | None) -> int | None:
    """The number of the next entry behind `after`, without reading what it says."""
    query = select(func.min(AuditEntry.sequence)).where(AuditEntry.tenant_id == tenant_id)
    if after is not None:
        query = query.where(AuditEntry.sequence > after)
    return session.scalar(query)
