"""Long work that a request began, and answers kept for requests that are repeated."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, OfTenant, RowNumber, UuidKey, status_type


class OperationStatus(StrEnum):
    """Where long work stands; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Operation(OfTenant, Base):
    """One piece of long work, for whoever asked (`actor`); taken up again where a worker died.

    `done` of `total` (None: unknown) steps of `phase`. `result` or `problem` says how it ended.
    """

    __tablename__ = "operations"
    __table_args__ = (
        Index("ix_operations_status_created_at", "status", "created_at"),
        Index("ix_operations_tenant_id_created_at", "tenant_id", "created_at", "id"),
        # Two that change one version would undo each other's work.
        Index(
            "uq_operations_version_id_running",
            "version_id",
            unique=True,
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
    )

    id: Mapped[UuidKey]
    kind: Mapped[str] = mapped_column(String(40))
    status: Mapped[OperationStatus] = mapped_column(
        status_type(OperationStatus, "status"), default=OperationStatus.QUEUED
    )
    campaign_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("campaigns.id", ondelete="CASCADE"), index=True
    )
    version_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("campaign_versions.id", ondelete="CASCADE"), index=True
    )
    request: Mapped[dict[str, Any]]
    actor: Mapped[dict[str, Any]]
    phase: Mapped[str] = mapped_column(default="")
    done: Mapped[int] = mapped_column(RowNumber, default=0)
    total: Mapped[int | None] = mapped_column(RowNumber)
    result: Mapped[dict[str, Any] | None]
    problem: Mapped[dict[str, Any] | None]
    tries: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(RowNumber, default=0)
    worker: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """The answer to a request that named a key, so that repeating it does nothing twice.

    `answer` is sealed, since some answers hold a secret that is shown once; None: under way.
    """

    __tablename__ = "idempotency_keys"

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    actor_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(index=True)
