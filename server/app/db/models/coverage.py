"""Which entries take which file: the other half of the question who gets what."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, RowKey, RowNumber


class VersionFile(Base):
    """A file of a version's base folder as its last build saw it, taken by `takers` entries.

    Blocked and inactive entries count, too: their files are not forgotten ones. `position` is the
    place in the order of paths. `path` is masked where a secret value stands in it. `first_takers`
    has the ids of the first few entries, in order.
    """

    __tablename__ = "version_files"
    __table_args__ = (
        UniqueConstraint("version_id", "position"),
        Index("ix_version_files_version_id_takers_position", "version_id", "takers", "position"),
    )

    id: Mapped[RowKey]
    tenant_id: Mapped[UUID]
    version_id: Mapped[UUID] = mapped_column(ForeignKey("campaign_versions.id", ondelete="CASCADE"))
    position: Mapped[int]
    path: Mapped[str]
    size: Mapped[int] = mapped_column(RowNumber)
    takers: Mapped[int]
    first_takers: Mapped[list[str]]
    #: By a rule with personal values: meant for one entry alone.
    is_personal: Mapped[bool]
