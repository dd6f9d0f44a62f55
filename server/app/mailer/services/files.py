"""A tenant's files: listed, read, deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import StoredFile
from app.db.repositories import files
from app.db.repositories.access import tenants
from app.db.repositories.files import FileUsage
from app.mailer.domain.errors import NotFound
from app.mailer.domain.files.name_pattern import nfc
from app.mailer.domain.files.stored_path import stored_folder
from app.mailer.ports import BlobRef
from app.mailer.services.depot import Depot, drop_unused

#: Paths that an audit entry names; of more it gives the number.
_NAMED = 100


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a tenant's files take, and what they may."""

    usage: FileUsage
    quota_bytes: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many files were deleted, and their bytes."""

    count: int
    bytes: int


def page_files(
    session: Session,
    actor: Actor,
    *,
    folder: str,
    search: str,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[StoredFile]:
    """A page of the files in `folder` and below it (`""`: all) whose path holds `search`."""
    require_scope(actor, Scope.FILES_READ)
    return files.page(
        session,
        actor.tenant_id,
        folder=stored_folder(folder),
        search=nfc(search),
        order=order,
        after=after,
        limit=limit,
    )


def get_file(session: Session, actor: Actor, file_id: UUID) -> StoredFile:
    """One file's row; `NotFound`."""
    require_scope(actor, Scope.FILES_READ)
    return files.get(session, actor.tenant_id, file_id)


def file_allowance(depot: Depot, actor: Actor) -> Allowance:
    """What the tenant's files take, and what they may."""
    require_scope(actor, Scope.FILES_READ)
    with depot.reading() as session:
        quota = depot.quota_of(tenants.tenant(session, actor.tenant_id).quota_bytes)
        return Allowance(files.usage(session, actor.tenant_id), quota, depot.max_bytes)


def open_file(depot: Depot, actor: Actor, file_id: UUID) -> tuple[StoredFile, Iterator[bytes]]:
    """A file and its bytes (as `BlobStore.open` gives them); that it was read is written down."""
    require_scope(actor, Scope.FILES_READ)
    with depot.reading() as session:
        file = files.get(session, actor.tenant_id, file_id)
    chunks = depot.blobs.open(actor.tenant_id, BlobRef(file.sha256, file.size))
    with depot.sessions() as session:
        log.record(
            session,
            actor,
            "file.downloaded",
            "file",
            file.id,
            {"path": file.path, "size": file.size, "sha256": file.sha256},
            depot.clock.now(),
        )
        session.commit()
    return file, chunks


def delete_file(depot: Depot, actor: Actor, file_id: UUID) -> None:
    """Delete one file; messages that were built from it keep theirs. `NotFound`."""
    require_scope(actor, Scope.FILES_WRITE)
    with depot.sessions() as session:
        gone = files.delete_some(session, actor.tenant_id, ids=[file_id])
        if not gone:
            raise NotFound(f"There is no file {file_id}.", "Perhaps it was deleted already.")
        ((path, size, sha256),) = gone
        log.record(
            session,
            actor,
            "file.deleted",
            "file",
            file_id,
            {"path": path},
            depot.clock.now(),
            before={"size": size, "sha256": sha256},
        )
        session.commit()
    drop_unused(depot, actor.tenant_id, [BlobRef(sha256, size)])


def delete_files(
    depot: Depot, actor: Actor, *, folder: str | None = None, ids: Sequence[UUID] = ()
) -> Deleted:
    """Delete the files with these ids, or a folder (`""`: everything) with all below it.

    Ids that are not there are passed over. Messages that were built from a file keep theirs.
    """
    require_scope(actor, Scope.FILES_WRITE)
    folder = None if folder is None else stored_folder(folder)
    with depot.sessions() as session:
        gone = files.delete_some(session, actor.tenant_id, folder=folder, ids=ids)
        deleted = Deleted(len(gone), sum(size for _path, size, _sha256 in gone))
        if gone:
            log.record(
                session,
                actor,
                "files.deleted",
                "folder",
                folder or "",
                {
                    "count": deleted.count,
                    "bytes": deleted.bytes,
                    "paths": sorted(path for path, _size, _sha256 in gone)[:_NAMED],
                },
                depot.clock.now(),
            )
        session.commit()
    drop_unused(depot, actor.tenant_id, [BlobRef(sha256, size) for _path, size, sha256 in gone])
    return deleted
