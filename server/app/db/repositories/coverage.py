"""Queries about who gets what: the files of an entry, and the takers of a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import Job, JobAttachment, VersionFile
from app.db.repositories.bulk import insert_rows
from app.mailer.domain.files.claims import FileUse
from app.mailer.domain.issues import EntryState

_CHUNK = 5000

#: What the list of files may be sorted by (`path` goes by the place in that order), and its key.
SORTABLE: dict[str, Sortable] = {
    "path": VersionFile.position,
    "takers": VersionFile.takers,
    "size": VersionFile.size,
}
KEY = VersionFile.position


class Use(StrEnum):
    """How a file is taken. `contested`: it is one person's own, and several take it."""

    UNCLAIMED = "unclaimed"
    SINGLE = "single"
    SHARED = "shared"
    CONTESTED = "contested"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleFilter:
    """Which entries. `needs_review`: those that nobody has decided on yet. `path`: those whose
    message has this file, as lists name it.
    """

    without_files: bool = False
    needs_review: bool = False
    path: str | None = None


def replace(session: Session, tenant_id: UUID, version_id: UUID, uses: Iterable[FileUse]) -> None:
    """Stores who takes which file, in the place of what was stored before; `uses` by path."""
    session.execute(
        delete(VersionFile).where(
            VersionFile.tenant_id == tenant_id, VersionFile.version_id == version_id
        )
    )
    rows: list[dict[str, Any]] = []
    for position, use in enumerate(uses):
        rows.append(
            {
                "tenant_id": tenant_id,
                "version_id": version_id,
                "position": position,
                "path": use.path,
                "size": use.size,
                "takers": use.takers,
                "first_takers": list(use.first_takers),
                "is_personal": use.personal,
            }
        )
        if len(rows) == _CHUNK:
            insert_rows(session, VersionFile, rows)
            rows = []
    insert_rows(session, VersionFile, rows)


def use_of(file: VersionFile) -> Use:
    if file.takers < 2:
        return Use.SINGLE if file.takers else Use.UNCLAIMED
    return Use.CONTESTED if file.is_personal else Use.SHARED


def files(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    *,
    use: Use | None,
    search: str | None,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[VersionFile]:
    """A page of the version's files; `search` is a part of the path, in either case."""
    query = select(VersionFile).where(
        VersionFile.tenant_id == tenant_id, VersionFile.version_id == version_id
    )
    if use is not None:
        query = query.where(*_USE[use])
    if search:
        query = query.where(VersionFile.path.icontains(search, autoescape=True))
    return fetch(session, query, order, after=after, limit=limit)


def people(
    session: Session,
    tenant_id: UUID,
    version_id: UUID,
    filters: PeopleFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Job]:
    """A page of the version's entries."""
    query = select(Job).where(Job.tenant_id == tenant_id, Job.version_id == version_id)
    if filters.without_files:
        query = query.where(Job.file_count == 0)
    if filters.path is not None:
        query = query.where(
            exists().where(
                JobAttachment.tenant_id == tenant_id,
                JobAttachment.job_id == Job.id,
                JobAttachment.path == filters.path,
            )
        )
    if filters.needs_review:
        query = query.where(Job.build_status == EntryState.NEEDS_REVIEW, Job.decision.is_(None))
    return fetch(session, query, order, after=after, limit=limit)


_USE: dict[Use, tuple[ColumnElement[bool], ...]] = {
    Use.UNCLAIMED: (VersionFile.takers == 0,),
    Use.SINGLE: (VersionFile.takers == 1,),
    Use.SHARED: (VersionFile.takers > 1, VersionFile.is_personal.is_(False)),
    Use.CONTESTED: (VersionFile.takers > 1, VersionFile.is_personal.is_(True)),
}
