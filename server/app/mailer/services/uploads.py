"""Uploads: begun, continued by whichever process gets the next bytes, and turned into a file.

An upload's offset moves only by whoever has its turn, and it reaches the size only together with
the file: whoever is told that all bytes have arrived can rely on the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import Upload
from app.db.repositories import files
from app.db.repositories.access import tenants
from app.mailer.domain.errors import Conflict, Expired, MailerError, NotFound, TooLarge
from app.mailer.domain.files.stored_path import stored_path
from app.mailer.services.depot import Depot
from app.mailer.services.keep_file import keep_file

#: An upload that nothing is added to for so long is forgotten.
LIFETIME = timedelta(hours=24)

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Turn:
    """One request's right to go on with an upload: `reached` bytes are staged, `told` of them are
    what the upload's offset says. The next request that goes on takes the right away."""

    upload_id: UUID
    number: int
    told: int
    reached: int
    size: int


def create_upload(
    depot: Depot, actor: Actor, *, path: str, size: int, sha256: str | None, replace: bool
) -> Upload:
    """Begin an upload of `size` bytes to `path`; an empty one is complete at once.

    Raises `UnsafePath`, `TooLarge` (one file, or all of the tenant's and those on their way), and
    `Conflict` where a file is there and `replace` is not said.
    """
    require_scope(actor, Scope.FILES_WRITE)
    path = stored_path(path)
    if sha256 is not None and not _HASH.fullmatch(sha256):
        raise MailerError("The sha256 is not one: it takes 64 hex digits in lower case.")
    if size > depot.max_bytes:
        raise TooLarge(
            f"The file has {size:,} bytes; the most is {depot.max_bytes:,}.",
            "The operator can raise UPLOAD_MAX_BYTES.",
        )
    forget_expired(depot)
    now = depot.clock.now()
    with depot.sessions() as session:
        tenant = tenants.lock_tenant(session, actor.tenant_id)
        if not replace:
            refuse_taken(session, actor.tenant_id, path)
        usage = files.usage(session, actor.tenant_id)
        room = depot.quota_of(tenant.quota_bytes) - usage.bytes - usage.uploading_bytes
        if size > room:
            raise TooLarge(
                f"The file has {size:,} bytes, but there is room for {max(room, 0):,} only.",
                "Delete files or uploads that nobody needs, or have the quota raised.",
            )
        upload = files.add_upload(
            session,
            actor.tenant_id,
            Upload(
                path=path,
                size=size,
                sha256=sha256,
                replace=replace,
                created_at=now,
                created_by=actor.name,
                updated_at=now,
                expires_at=now + LIFETIME,
            ),
        )
        log.record(
            session, actor, "upload.created", "upload", upload.id, {"path": path, "size": size}, now
        )
        session.commit()
    if size == 0:
        try:
            keep_file(depot, actor, upload.id, 0, 0)
        except Exception:
            # There is no last byte that could be sent again.
            _forget(depot, actor.tenant_id, upload.id)
            raise
    return upload


def get_upload(depot: Depot, actor: Actor, upload_id: UUID) -> Upload:
    """The upload; `NotFound`, or `Expired`."""
    require_scope(actor, Scope.FILES_WRITE)
    with depot.reading() as session:
        upload = files.get_upload(session, actor.tenant_id, upload_id)
    _refuse_expired(depot, upload)
    return upload


def page_uploads(
    session: Session, actor: Actor, *, order: Order, after: tuple[Any, Any] | None, limit: int
) -> Slice[Upload]:
    """A page of the uploads under way."""
    require_scope(actor, Scope.FILES_READ)
    return files.page_uploads(session, actor.tenant_id, order=order, after=after, limit=limit)


def take_turn(depot: Depot, actor: Actor, upload_id: UUID, offset: int) -> Turn:
    """Go on with an upload at `offset`; `Conflict` where its next byte is another one.

    What the turns before left behind the offset goes: it counts no more, but takes room, and the
    quota knows of the upload's size alone.
    """
    require_scope(actor, Scope.FILES_WRITE)
    with depot.sessions() as session:
        upload = files.get_upload(session, actor.tenant_id, upload_id)
        _refuse_expired(depot, upload)
        number = files.take_turn(session, actor.tenant_id, upload_id, offset)
        if number is None:
            raise Conflict(
                f"The upload's next byte is {upload.offset}, not {offset}.",
                "Ask for its offset, and go on from there.",
            )
        session.commit()
    depot.blobs.unstage_overtaken(actor.tenant_id, upload_id, offset, number)
    return Turn(upload_id, number, offset, offset, upload.size)


def stage(depot: Depot, actor: Actor, turn: Turn, data: bytes) -> Turn:
    """Keep the next bytes (at most `PIECE_BYTES`), not yet told. `TooLarge` beyond the size.

    `Conflict` where another request has gone on with the upload meanwhile.
    """
    if turn.reached + len(data) > turn.size:
        raise TooLarge(
            f"More bytes came than the {turn.size:,} that were announced.", "Begin a new upload."
        )
    with depot.reading() as session:
        if files.get_upload(session, actor.tenant_id, turn.upload_id).turn != turn.number:
            raise _overtaken()
    depot.blobs.stage(actor.tenant_id, turn.upload_id, turn.reached, turn.number, data)
    return replace(turn, reached=turn.reached + len(data))


def settle(depot: Depot, actor: Actor, turn: Turn) -> Turn:
    """Move the offset to what is staged; with the last byte the file is kept (`keep_file`).

    `Conflict` where another request has gone on with the upload meanwhile.
    """
    if turn.reached == turn.told:
        return turn
    if turn.reached == turn.size:
        keep_file(depot, actor, turn.upload_id, turn.number, turn.told)
    else:
        now = depot.clock.now()
        with depot.sessions() as session:
            moved = files.move_offset(
                session,
                actor.tenant_id,
                turn.upload_id,
                turn=turn.number,
                before=turn.told,
                after=turn.reached,
                now=now,
                expires_at=now + LIFETIME,
            )
            session.commit()
        if not moved:
            raise _overtaken()
    return replace(turn, told=turn.reached)


def delete_upload(depot: Depot, actor: Actor, upload_id: UUID) -> None:
    """End an upload; of a complete one the file stays."""
    require_scope(actor, Scope.FILES_WRITE)
    with depot.sessions() as session:
        upload = files.get_upload(session, actor.tenant_id, upload_id)
        if not files.delete_upload(session, actor.tenant_id, upload_id):
            raise NotFound(f"There is no upload {upload_id}.", "Begin a new one.")
        log.record(
            session,
            actor,
            "upload.deleted",
            "upload",
            upload_id,
            {"path": upload.path, "size": upload.size, "offset": upload.offset},
            depot.clock.now(),
        )
        session.commit()
    depot.blobs.unstage(actor.tenant_id, upload_id)


def forget_expired(depot: Depot) -> int:
    """Forget the uploads of all tenants that nothing was added to for `LIFETIME`: how many."""
    with depot.sessions() as session:
        gone = files.delete_expired(session, depot.clock.now())
        session.commit()
    for tenant_id, upload_id in gone:
        depot.blobs.unstage(tenant_id, upload_id)
    return len(gone)


def sweep(depot: Depot) -> None:
    """Remove what expired, and what crashes left in the store."""
    forget_expired(depot)
    depot.blobs.sweep(depot.clock.now() - 2 * LIFETIME)


def refuse_taken(session: Session, tenant_id: UUID, path: str) -> None:
    """Raises `Conflict` where a file has this path."""
    if files.at(session, tenant_id, path) is not None:
        raise Conflict(
            f'There is a file "{path}".', "Say `replace` if it shall be replaced, or delete it."
        )


def _forget(depot: Depot, tenant_id: UUID, upload_id: UUID) -> None:
    with depot.sessions() as session:
        files.delete_upload(session, tenant_id, upload_id)
        session.commit()


def _overtaken() -> Conflict:
    return Conflict(
        "Another request has gone on with this upload.",
        "Ask for its offset, and go on from there.",
    )


def _refuse_expired(depot: Depot, upload: Upload) -> None:
    if upload.expires_at <= depot.clock.now():
        raise Expired("This upload was not gone on with for too long.", "Begin a new one.")
