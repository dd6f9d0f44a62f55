"""The audit log, one sequence without gaps for each tenant."""

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
    )

    id: Mapped[UuidKey]
    sequence: Mapped[int] = mapped_column(RowNumber)
    at: Mapped[datetime]
    actor_kind: Mapped[str] = mapped_column(String(20))
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    action: Mapped[str] = mapped_column(String(60))
    object_type: Mapped[str] = mapped_column(String(40))
    object_id: Mapped[str]
    details: Mapped[dict[str, Any]]


class AuditCounter(Base):
    """The last sequence number of a tenant.

    A row of its own, since a lock on the tenant's row would hold up every insert that refers to it.
    """

    __tablename__ = "audit_counters"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    last: Mapped[int] = mapped_column(RowNumber)
