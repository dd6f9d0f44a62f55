"""Letters for people's eyes: the frozen bytes, a preview, an attachment. Each look is recorded."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import Job, JobAttachment
from app.db.repositories import delivery, job_lists, jobs
from app.mailer.domain.errors import Conflict, FileChanged, NotFound
from app.mailer.domain.files.attachment_names import safe_filename
from app.mailer.domain.mime.frame import Base64Cache, Frame
from app.mailer.domain.mime.reading import ReadMessage, read_message
from app.mailer.ports import BlobRef, BlobStore, Clock, ShowHtml, ShownHtml
from app.mailer.services.approved_bytes import ChangedAfterBuild, approved_bytes

_VIEWED, _DOWNLOADED = "message.viewed", "message.downloaded"


@dataclass(frozen=True, slots=True)
class Viewer:
    """The ports that looking at letters needs."""

    sessions: sessionmaker[Session]
    reading: sessionmaker[Session]
    blobs: BlobStore
    clock: Clock
    show: ShowHtml


@dataclass(frozen=True, slots=True)
class Preview:
    """A letter as its recipient sees it; `html` is safe to show, None where it has no HTML."""

    job: Job
    message: ReadMessage
    html: ShownHtml | None
    files: Sequence[JobAttachment]


@dataclass(frozen=True, slots=True)
class Download:
    """Bytes with the name to save them under."""

    filename: str
    media_type: str
    chunks: Sequence[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.chunks))


def preview_message(viewer: Viewer, actor: Actor, campaign_id: UUID, job_id: UUID) -> Preview:
    """The letter of a job, decoded. `NotFound` where none could be built."""
    found = _found(viewer, actor, campaign_id, job_id)
    message = _read(found.frame)
    html = _shown(viewer, actor, message)
    _record(viewer, actor, _VIEWED, found.job, {"part": "preview"})
    return Preview(found.job, message, html, found.files)


def preview_html(viewer: Viewer, actor: Actor, campaign_id: UUID, job_id: UUID) -> ShownHtml:
    """The letter's HTML as a page of its own; `NotFound` where it has none."""
    found = _found(viewer, actor, campaign_id, job_id)
    html = _shown(viewer, actor, _read(found.frame))
    if html is None:
        raise NotFound("This letter has no HTML, only text.", "Look at its preview.")
    _record(viewer, actor, _VIEWED, found.job, {"part": "html"})
    return html


def download_message(
    viewer: Viewer, actor: Actor, campaign_id: UUID, job_id: UUID, *, with_bcc: bool
) -> Download:
    """The bytes that leave by SMTP, or (`with_bcc`) those of the copy in Sent.

    They are proved to be those of the build first; `FileChanged` where they are not.
    """
    found = _found(viewer, actor, campaign_id, job_id)
    cache = Base64Cache()

    def read(ref: BlobRef) -> bytes:
        return viewer.blobs.get(actor.tenant_id, ref)

    chunks = _proved(lambda: approved_bytes(found.job, found.frame, read, cache))
    if with_bcc:
        chunks = list(Frame.decode(found.frame).sent_copy_chunks(read, cache))
    _record(viewer, actor, _DOWNLOADED, found.job, {"part": "message", "with_bcc": with_bcc})
    name = safe_filename(f"{found.job.entry_id}.eml")
    return Download(name, "message/rfc822", chunks)


def download_attachment(
    viewer: Viewer, actor: Actor, campaign_id: UUID, job_id: UUID, position: int
) -> Download:
    """The very bytes that a message has attached.

    `Conflict` for a file that travels in an archive: only the archive is kept.
    """
    found = _found(viewer, actor, campaign_id, job_id)
    file = next((each for each in found.files if each.position == position), None)
    if file is None:
        raise NotFound(f"This message has no attachment {position}.")
    if file.archive is not None:
        raise Conflict(
            f"This file travels in the archive {file.archive}.", "Download the archive instead."
        )
    data = viewer.blobs.get(actor.tenant_id, BlobRef(file.sha256, file.size))
    details = {"part": "attachment", "position": position, "attachment_sha256": file.sha256}
    _record(viewer, actor, _DOWNLOADED, found.job, details)
    return Download(safe_filename(file.filename), file.media_type, [data])


@dataclass(frozen=True, slots=True)
class _Found:
    job: Job
    frame: bytes
    files: Sequence[JobAttachment]


def _found(viewer: Viewer, actor: Actor, campaign_id: UUID, job_id: UUID) -> _Found:
    require_scope(actor, Scope.CAMPAIGN_READ)
    tenant_id = actor.tenant_id
    with viewer.reading() as session:
        job = job_lists.get_of_campaign(session, tenant_id, campaign_id, job_id)
        frame = delivery.frame_of(session, tenant_id, job.id)
        files = jobs.attachments_of(session, tenant_id, [job.id])[job.id]
    if frame is None:
        raise NotFound("There is no message: this entry could not be built.", "Its issues say why.")
    return _Found(job, frame, files)


def _read(frame: bytes) -> ReadMessage:
    try:
        return read_message(Frame.decode(frame))
    except ValueError as error:
        raise FileChanged(f"changed-after-build: {error}", "Build the version again.") from error


def _shown(viewer: Viewer, actor: Actor, message: ReadMessage) -> ShownHtml | None:
    if message.html is None:
        return None
    images = {
        cid: f"data:{image.media_type};base64,"
        + base64.b64encode(viewer.blobs.get(actor.tenant_id, image.blob)).decode()
        for cid, image in message.images.items()
    }
    return viewer.show(message.html, images)


def _proved(read: Callable[[], list[bytes]]) -> list[bytes]:
    try:
        return read()
    except ChangedAfterBuild as error:
        raise FileChanged(str(error), "It will not be sent. Build the version again.") from error


def _record(
    viewer: Viewer, actor: Actor, action: str, job: Job, details: dict[str, object]
) -> None:
    """Before anything is handed out: what cannot be recorded is not shown."""
    with viewer.sessions() as session:
        log.record(
            session,
            actor,
            action,
            "job",
            job.id,
            {
                "campaign_id": str(job.campaign_id),
                "version_id": str(job.version_id),
                "entry_id": job.entry_id,
                "sha256": job.sha256,
                **details,
            },
            viewer.clock.now(),
        )
        session.commit()
