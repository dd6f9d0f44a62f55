"""The audit log, one chain without gaps for each tenant (`domain/audit_chain.py`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, OfTenant, RowNumber, UuidKey


class AuditEntry(OfTenant, Base):
    __tablename__ = "audit_entries"
    __table_args__ = (
        UniqueConstraint("tenant_id", "sequence"),
        Index("ix_audit_entries_tenant_id_action", "tenant_id", "action", "sequence"),
        Index(
            "ix_audit_entries_tenant_id_object",
            "tenant_id",
            "object_type",
            "object_id",
            "sequence",
        ),
        Index("ix_audit_entries_tenant_id_actor_id", "tenant_id", "actor_id", "sequence"),
        Index("ix_audit_entries_tenant_id_at", "tenant_id", "at", "sequence"),
    )

    id: Mapped[UuidKey]
    sequence: Mapped[int] = mapped_column(RowNumber)
    at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(String(20))
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    #: Where the request came from.
    address: Mapped[str | None]
    action: Mapped[str] = mapped_column(String(60))
    object_type: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str]
    details: Mapped[dict[str, Any]]
    #: What changed, as it was and as it is.
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class AuditCounter(Base):
    """The head of a tenant's chain: the last entry's sequence number and hash.

    A row of its own, since a lock on the tenant's row would hold up every insert that refers to it.
    """

    __tablename__ = "audit_counters"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    last: Mapped[int] = mapped_column(RowNumber)
    hash: Mapped[str] = mapped_column(String(64))
