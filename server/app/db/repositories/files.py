"""Queries about uploaded files and uploads under way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.locking import locked
from app.db.models import StoredFile, Upload
from app.mailer.domain.errors import NotFound

#: What lists of files may be sorted by, and the key that makes an order unambiguous.
SORTABLE: dict[str, Sortable] = {
    "path": StoredFile.path,
    "size": StoredFile.size,
    "uploaded_at": StoredFile.uploaded_at,
}
KEY = StoredFile.id
UPLOADS_SORTABLE: dict[str, Sortable] = {
    "created_at": Upload.created_at,
    "path": Upload.path,
}
UPLOADS_KEY = Upload.id


@dataclass(frozen=True, slots=True)
class FileUsage:
    """What a tenant's files take: kept ones, and the full sizes of those on their way."""

    count: int
    bytes: int
    uploading_count: int
    uploading_bytes: int


def get(session: Session, tenant_id: UUID, file_id: UUID) -> StoredFile:
    """The file; `NotFound` where the tenant has none of this id."""
    file = session.scalar(
        select(StoredFile).where(StoredFile.tenant_id == tenant_id, StoredFile.id == file_id)
    )
    if file is None:
        raise NotFound(f"There is no file {file_id}.", "The list of files shows those there are.")
    return file


def at(session: Session, tenant_id: UUID, path: str, *, lock: bool = False) -> StoredFile | None:
    """The file at exactly this path; with `lock` nobody deletes it before the commit."""
    query = select(StoredFile).where(StoredFile.tenant_id == tenant_id, StoredFile.path == path)
    if lock:
        query = locked(query)
    return session.scalar(query)


def page(
    session: Session,
    tenant_id: UUID,
    *,
    folder: str,
    search: str,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[StoredFile]:
    """A page of the files in a folder and below it whose path holds `search`, case aside."""
    query = select(StoredFile).where(*_below(tenant_id, folder))
    if search:
        query = query.where(func.lower(StoredFile.path).contains(search.lower(), autoescape=True))
    return fetch(session, query, order, after=after, limit=limit)


def below(
    session: Session, tenant_id: UUID, folder: str
) -> Iterator[tuple[str, int, str, datetime, str | None]]:
    """Path, size, SHA-256, time and uploader's identity of each file in a folder and below it, by
    path.
    """
    rows = session.execute(
        select(
            StoredFile.path,
            StoredFile.size,
            StoredFile.sha256,
            StoredFile.uploaded_at,
            StoredFile.uploaded_by_id,
        )
        .where(*_below(tenant_id, folder))
        .order_by(StoredFile.path)
        .execution_options(yield_per=1000)
    )
    yield from rows


def add(session: Session, tenant_id: UUID, file: StoredFile) -> StoredFile:
    file.tenant_id = tenant_id
    session.add(file)
    session.flush()
    return file


def delete_some(
    session: Session,
    tenant_id: UUID,
    *,
    folder: str | None = None,
    ids: Collection[UUID] = (),
) -> list[tuple[str, int, str]]:
    """Deletes the files with these ids, or those in a folder and below it: paths, sizes, hashes."""
    where = (
        _below(tenant_id, folder)
        if folder is not None
        else [StoredFile.tenant_id == tenant_id, StoredFile.id.in_(ids)]
    )
    gone = session.execute(
        delete(StoredFile)
        .where(*where)
        .returning(StoredFile.path, StoredFile.size, StoredFile.sha256)
        .execution_options(synchronize_session=False)
    )
    return [(path, size, sha256) for path, size, sha256 in gone]


def hashes_in_use(session: Session, tenant_id: UUID, hashes: Collection[str]) -> set[str]:
    """Which of these contents a file of the tenant has."""
    return set(
        session.scalars(
            select(StoredFile.sha256)
            .where(StoredFile.tenant_id == tenant_id, StoredFile.sha256.in_(hashes))
            .distinct()
        )
    )


def usage(session: Session, tenant_id: UUID) -> FileUsage:
    """Two statements, however many files there are."""
    count, size = session.execute(
        select(func.count(), func.coalesce(func.sum(StoredFile.size), 0)).where(
            StoredFile.tenant_id == tenant_id
        )
    ).one()
    uploading, coming = session.execute(
        select(func.count(), func.coalesce(func.sum(Upload.size), 0)).where(*_unfinished(tenant_id))
    ).one()
    return FileUsage(count, int(size), uploading, int(coming))


# ---------------------------------------------------------------- uploads


def add_upload(session: Session, tenant_id: UUID, upload: Upload) -> Upload:
    upload.tenant_id = tenant_id
    session.add(upload)
    session.flush()
    return upload


def get_upload(session: Session, tenant_id: UUID, upload_id: UUID) -> Upload:
    """The upload; `NotFound` where the tenant has none of this id."""
    upload = session.scalar(
        select(Upload).where(Upload.tenant_id == tenant_id, Upload.id == upload_id)
    )
    if upload is None:
        raise NotFound(f"There is no upload {upload_id}.", "Begin a new one.")
    return upload


def page_uploads(
    session: Session,
    tenant_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Upload]:
    """A page of the uploads that are under way."""
    query: Select[Upload] = select(Upload).where(*_unfinished(tenant_id))
    return fetch(session, query, order, after=after, limit=limit)


def take_turn(session: Session, tenant_id: UUID, upload_id: UUID, offset: int) -> int | None:
    """The next turn of an upload whose next byte is `offset`; None where it is another one.

    Whoever had the turn before can no longer move the offset.
    """
    return session.scalar(
        update(Upload)
        .where(*_one(tenant_id, upload_id), Upload.offset == offset)
        .values(turn=Upload.turn + 1)
        .returning(Upload.turn)
        .execution_options(synchronize_session=False)
    )


def move_offset(
    session: Session,
    tenant_id: UUID,
    upload_id: UUID,
    *,
    turn: int,
    before: int,
    after: int,
    now: datetime,
    expires_at: datetime,
) -> bool:
    """Whether the offset was moved: only whoever has the turn does."""
    moved = session.scalar(
        update(Upload)
        .where(*_one(tenant_id, upload_id), Upload.turn == turn, Upload.offset == before)
        .values(offset=after, updated_at=now, expires_at=expires_at)
        .returning(Upload.id)
        .execution_options(synchronize_session=False)
    )
    return moved is not None


def delete_upload(
    session: Session, tenant_id: UUID, upload_id: UUID, *, turn: int | None = None
) -> bool:
    """Whether it was there and, where `turn` is given, had this turn."""
    where = _one(tenant_id, upload_id)
    if turn is not None:
        where.append(Upload.turn == turn)
    gone = session.scalar(
        delete(Upload)
        .where(*where)
        .returning(Upload.id)
        .execution_options(synchronize_session=False)
    )
    return gone is not None


def delete_expired(session: Session, now: datetime) -> Sequence[tuple[UUID, UUID]]:
    """Deletes the uploads of all tenants whose time is over: each one's tenant and id."""
    gone = session.execute(
        delete(Upload)
        .where(Upload.expires_at <= now)
        .returning(Upload.tenant_id, Upload.id)
        .execution_options(synchronize_session=False)
    )
    return [(tenant_id, upload_id) for tenant_id, upload_id in gone]


def _below(tenant_id: UUID, folder: str) -> list[ColumnElement[bool]]:
    where = [StoredFile.tenant_id == tenant_id]
    if folder:
        # LIKE would take "a_b" for "axb", and on SQLite "A" for "a".
        beginning = f"{folder}/"
        where.append(func.substr(StoredFile.path, 1, len(beginning)) == beginning)
    return where


def _one(tenant_id: UUID, upload_id: UUID) -> list[ColumnElement[bool]]:
    return [Upload.tenant_id == tenant_id, Upload.id == upload_id]


def _unfinished(tenant_id: UUID) -> list[ColumnElement[bool]]:
    return [Upload.tenant_id == tenant_id, Upload.offset < Upload.size]
