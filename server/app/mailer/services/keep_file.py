"""Turn a complete upload into a file: look at every byte, keep it, and name it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.audit import log
from app.db.models import StoredFile, Upload
from app.db.repositories import files
from app.db.repositories.access import tenants
from app.mailer.domain.errors import Conflict, Infected, MailerError, WrongContent
from app.mailer.domain.files.disguise import media_type_of
from app.mailer.ports import BlobRef
from app.mailer.services.depot import Depot, drop_unused

#: So much of a file's beginning tells what it is.
_HEAD_BYTES = 64 * 1024
#: Somebody may delete the same content just when it is kept again.
_TRIES = 5


def keep_file(depot: Depot, actor: Actor, upload_id: UUID, turn: int, offset: int) -> UUID:
    """The id of the file that the upload's bytes are now; the file before it, if any, is replaced.

    Raises `WrongContent` and `Infected`, which also end the upload, since no other bytes can come
    of it; `Conflict` where the path was taken or another request has the turn; `ScannerFailed`
    and `StorageFailed`, after which the last bytes can be sent again.
    """
    with depot.sessions() as session:
        upload = files.get_upload(session, actor.tenant_id, upload_id)
    try:
        ref, media_type = _take_in(depot, upload)
    except (WrongContent, Infected) as refused:
        _end(depot, actor, upload, turn, refused.message)
        raise
    replaced: BlobRef | None = None
    try:
        file_id, replaced = _name(depot, actor, upload, turn, offset, ref, media_type)
    except Exception:
        with suppress(MailerError):
            drop_unused(depot, actor.tenant_id, [ref])
        raise
    depot.blobs.unstage(actor.tenant_id, upload_id)
    if replaced is not None and replaced != ref:
        drop_unused(depot, actor.tenant_id, [replaced])
    return file_id


def _take_in(depot: Depot, upload: Upload) -> tuple[BlobRef, str]:
    """The content in the store, and its media type; where anything is wrong, nothing is stored."""
    look = _Look(depot, upload)
    ref = depot.blobs.put_stream(upload.tenant_id, look.passing())
    depot.blobs.sync()
    return ref, look.media_type


class _Look:
    """Everything that is asked of the bytes, while they pass once."""

    def __init__(self, depot: Depot, upload: Upload) -> None:
        self._depot = depot
        self._upload = upload
        self.media_type = ""

    def passing(self) -> Iterator[bytes]:
        upload = self._upload
        digest = hashlib.sha256() if upload.sha256 is not None else None
        head, size = b"", 0
        scanner = self._depot.scanner
        with scanner() if scanner is not None else nullcontext() as scan:
            for chunk in self._depot.blobs.staged(upload.tenant_id, upload.id):
                if len(head) < _HEAD_BYTES:
                    head += chunk[: _HEAD_BYTES - len(head)]
                size += len(chunk)
                if digest is not None:
                    digest.update(chunk)
                if scan is not None:
                    scan.feed(chunk)
                yield chunk
            if size != upload.size:
                raise WrongContent(
                    f"Of the {upload.size:,} bytes that had arrived only {size:,} are left.",
                    "Upload the file again.",
                )
            if digest is not None and digest.hexdigest() != upload.sha256:
                raise WrongContent(
                    f'The bytes of "{upload.path}" are not the announced ones: their SHA-256 is '
                    f"{digest.hexdigest()}.",
                    "Upload the file again.",
                )
            self.media_type = media_type_of(upload.path, self._depot.content_type(head))
            if scan is not None and (found := scan.verdict()) is not None:
                raise Infected(
                    f'The malware scanner found {found} in "{upload.path}".', "Do not send it."
                )


def _name(
    depot: Depot,
    actor: Actor,
    upload: Upload,
    turn: int,
    offset: int,
    ref: BlobRef,
    media_type: str,
) -> tuple[UUID, BlobRef | None]:
    """Give the content its path: the file's id, and the content that was there before."""
    for _ in range(_TRIES):
        with depot.sessions() as session:
            tenants.lock_tenant(session, actor.tenant_id)
            if depot.blobs.has(actor.tenant_id, ref):
                file, before = _put_at(depot, session, actor, upload, ref, media_type)
                moved = files.move_offset(
                    session,
                    actor.tenant_id,
                    upload.id,
                    turn=turn,
                    before=offset,
                    after=upload.size,
                    now=file.uploaded_at,
                    expires_at=upload.expires_at,
                )
                if not moved:
                    raise Conflict("Another request has gone on with this upload.")
                session.commit()
                return file.id, before
        _take_in(depot, upload)
    raise Conflict("The same content is deleted again and again.", "Upload the file again.")


def _put_at(
    depot: Depot,
    session: Session,
    actor: Actor,
    upload: Upload,
    ref: BlobRef,
    media_type: str,
) -> tuple[StoredFile, BlobRef | None]:
    now = depot.clock.now()
    file = files.at(session, actor.tenant_id, upload.path, lock=True)
    who = {"uploaded_at": now, "uploaded_by": actor.name, "uploaded_by_id": actor.identity}
    members = {"size": ref.size, "sha256": ref.sha256, "media_type": media_type}
    before: dict[str, object] | None = None
    if file is None:
        file = StoredFile(path=upload.path, **members, **who)
        files.add(session, actor.tenant_id, file)
    elif not upload.replace:
        raise Conflict(
            f'Meanwhile there is a file "{upload.path}".',
            "Say `replace` if it shall be replaced, or delete it.",
        )
    else:
        before = {name: getattr(file, name) for name in members}
        for name, value in (members | who).items():
            setattr(file, name, value)
    log.record(
        session,
        actor,
        "file.uploaded",
        "file",
        file.id,
        {"path": file.path},
        now,
        before=before,
        after=members,
    )
    old = None if before is None else BlobRef(str(before["sha256"]), int(str(before["size"])))
    return file, old


def _end(depot: Depot, actor: Actor, upload: Upload, turn: int, reason: str) -> None:
    with depot.sessions() as session:
        if not files.delete_upload(session, actor.tenant_id, upload.id, turn=turn):
            # The bytes may be those of the one that has gone on: it decides.
            raise Conflict("Another request has gone on with this upload.")
        log.record(
            session,
            actor,
            "upload.refused",
            "upload",
            upload.id,
            {"path": upload.path, "reason": reason},
            depot.clock.now(),
        )
        session.commit()
    depot.blobs.unstage(actor.tenant_id, upload.id)
