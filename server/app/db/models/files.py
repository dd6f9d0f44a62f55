"""Files that a tenant uploaded, and uploads under way. The bytes are in the blob store."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, OfTenant, RowNumber, UuidKey


class StoredFile(OfTenant, Base):
    """`path` is relative and has `/` between folders, as it was in the folder that was uploaded."""

    __tablename__ = "stored_files"
    __table_args__ = (
        UniqueConstraint("tenant_id", "path"),
        Index("ix_stored_files_tenant_id_sha256", "tenant_id", "sha256"),
    )

    id: Mapped[UuidKey]
    path: Mapped[str]
    size: Mapped[int] = mapped_column(RowNumber)
    sha256: Mapped[str] = mapped_column(String(64))
    #: As the bytes show, not as the name claims.
    media_type: Mapped[str]
    uploaded_at: Mapped[datetime]
    uploaded_by: Mapped[str]
    #: `Actor.identity`; None of files that came before this was kept.
    uploaded_by_id: Mapped[str | None]


class Upload(OfTenant, Base):
    """A file on its way here; `offset` bytes have arrived. It equals `size` once the file is kept.

    `turn` grows with each request that goes on with the upload: the one with the highest writes.
    """

    __tablename__ = "uploads"
    __table_args__ = (
        Index("ix_uploads_tenant_id", "tenant_id"),
        Index("ix_uploads_expires_at", "expires_at"),
    )

    id: Mapped[UuidKey]
    path: Mapped[str]
    size: Mapped[int] = mapped_column(RowNumber)
    offset: Mapped[int] = mapped_column(RowNumber, default=0)
    turn: Mapped[int] = mapped_column(RowNumber, default=0)
    sha256: Mapped[str | None] = mapped_column(String(64))
    replace: Mapped[bool]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    updated_at: Mapped[datetime]
    expires_at: Mapped[datetime]
