"""Build letters: read their files, make the archive, and freeze the bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from app.mailer.domain.errors import CampaignInvalid
from app.mailer.domain.files.attachment_names import safe_filename
from app.mailer.domain.files.attachments import MASK, ChosenFile
from app.mailer.domain.issues import Issue, Severity
from app.mailer.domain.letters.letter import Letter, archive_terms, compose, wants_archive
from app.mailer.domain.mime.blob import BlobRef
from app.mailer.domain.mime.frame import Base64Cache, Frame
from app.mailer.domain.mime.headers import UnsafeHeader, media_type_for
from app.mailer.domain.mime.message import Attached, Draft, InlineImage, build_frame, message_id_for
from app.mailer.domain.templates.placeholders import TemplateFailed
from app.mailer.ports import Archiver, CampaignFiles, FileFault, Progress
from app.mailer.services.match_files import file_issue, read_file, too_large
from app.mailer.services.prepare import Prepared

_STEP = 50
#: Files of rules for everybody are kept at hand up to this many bytes in all.
_SHARED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """A file of a message, as lists show it; `archive`: the one that it travels in, if it does."""

    rule: str
    path: str
    filename: str
    media_type: str
    size: int
    sha256: str
    archive: str | None = None
    #: By a rule with values of this entry alone.
    is_personal: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """A letter's frozen message, and the blobs that it names (`contents`).

    `content_sha256` is of what it says and holds, without what differs from build to build.
    """

    job_id: UUID
    frame: Frame
    size: int
    sha256: str
    content_sha256: str
    message_id: str
    date: datetime
    files: tuple[BuiltFile, ...]
    contents: dict[BlobRef, bytes]

    def chunks(self) -> Iterator[bytes]:
        """The bytes as SMTP sends them."""
        return self.frame.chunks(self.contents.__getitem__)


def build_letters(
    prepared: Prepared,
    files: CampaignFiles,
    *,
    archive: Archiver,
    build_id: UUID,
    job_id_of: Callable[[Letter], UUID],
    now: Callable[[], datetime],
    progress: Progress,
) -> Iterator[tuple[Letter, Built | None]]:
    """Each letter with its frozen message, in order; None where there can be none.

    What goes wrong becomes an issue of its letter, so look at its state afterwards. Raises
    `CampaignInvalid` where the campaign itself is at fault: then nothing is built.
    """
    prepared.refuse_if_blocked()
    builder = _Builder(prepared, files, archive, build_id)
    total = len(prepared.letters)
    for number, letter in enumerate(prepared.letters):
        if number % _STEP == 0:
            progress("Building letters", number, total)
        built = None
        if letter.buildable:
            built = builder.build(letter, job_id_of(letter), now())
        yield letter, built if letter.buildable else None
    progress("Building letters", total, total)


def draft_job_id(campaign_id: str, entry_id: str) -> UUID:
    """A stand-in for the job's id where a campaign is built without a database."""
    return uuid5(_DRAFTS, f"{campaign_id}\0{entry_id}")


_DRAFTS = UUID("8f9f3c1e-54a1-4cf5-9a39-5d1c4ac6d5f1")


class _Builder:
    def __init__(
        self, prepared: Prepared, files: CampaignFiles, archive: Archiver, build_id: UUID
    ) -> None:
        self._prepared = prepared
        self._compiled = prepared.compiled
        self._archive = archive
        self._build_id = build_id
        self._shared: dict[str, tuple[BlobRef, bytes]] = {}
        self._shared_left = _SHARED_BYTES
        self._encoded = Base64Cache()
        self._image_contents: dict[BlobRef, bytes] = {}
        self._images = self._read_images(files)

    def build(self, letter: Letter, job_id: UUID, date: datetime) -> Built | None:
        """The frozen message, or None with the reason among the letter's issues."""
        assert letter.sender is not None
        contents = dict(self._image_contents)
        message_id = message_id_for(
            job_id,
            self._build_id,
            self._prepared.campaign.delivery.message_id_domain or letter.sender.domain,
        )
        try:
            attached, files = self._attach(letter, contents)
            draft = compose(
                self._compiled,
                letter,
                date=date,
                message_id=message_id,
                images=self._images,
                attachments=attached,
            )
            frame = build_frame(draft)
        except FileFault as fault:
            letter.issues.append(file_issue(fault, letter.entry.pointer, letter.id))
            return None
        except UnsafeHeader as error:
            self._fail(letter, "header-injection", str(error), "Correct the value.")
            return None
        except (TemplateFailed, ValueError) as error:
            self._fail(letter, "bad-template", str(error), "Correct the template, or the value.")
            return None
        self._check_size(letter, frame.size)
        return Built(
            job_id=job_id,
            frame=frame,
            size=frame.size,
            sha256=frame.digest(contents.__getitem__, self._encoded if self._shared else None),
            content_sha256=_content_sha256(draft, files),
            message_id=message_id,
            date=date,
            files=files,
            contents=contents,
        )

    def _attach(
        self, letter: Letter, contents: dict[BlobRef, bytes]
    ) -> tuple[list[Attached], tuple[BuiltFile, ...]]:
        read = [(chosen, *self._read(chosen)) for chosen in letter.files]
        if read and wants_archive(self._compiled, letter.entry):
            return self._archived(letter, read, contents)
        attached, files = [], []
        for chosen, ref, data in read:
            contents[ref] = data
            media_type = media_type_for(chosen.filename)
            attached.append(Attached(chosen.filename, media_type, ref))
            files.append(_built_file(chosen, ref, media_type))
        return attached, tuple(files)

    def _archived(
        self,
        letter: Letter,
        read: list[tuple[ChosenFile, BlobRef, bytes]],
        contents: dict[BlobRef, bytes],
    ) -> tuple[list[Attached], tuple[BuiltFile, ...]]:
        name, password = archive_terms(self._compiled, letter.entry)
        name = safe_filename(name if name.lower().endswith(".zip") else f"{name}.zip")
        named = self._compiled.zip_filename
        secret = named is not None and self._compiled.secret_names & named.names
        shown = MASK if secret else name
        data = self._archive(
            [(chosen.filename, data) for chosen, _ref, data in read],
            password,
            self._prepared.campaign.attachments.zip.method,
        )
        ref = blob_ref(data)
        contents[ref] = data
        inside = [
            _built_file(chosen, inner, media_type_for(chosen.filename), archive=shown)
            for chosen, inner, _data in read
        ]
        media_type = media_type_for(name)
        whole = BuiltFile("zip", shown, shown, media_type, ref.size, ref.sha256)
        return [Attached(name, media_type, ref)], (whole, *inside)

    def _read(self, chosen: ChosenFile) -> tuple[BlobRef, bytes]:
        known = self._shared.get(chosen.file.path)
        if known is not None:
            return known
        assert self._prepared.tree is not None
        data = read_file(self._prepared.tree, chosen.rule, chosen.file)
        ref = blob_ref(data)
        if not chosen.rule.personal and len(data) <= self._shared_left:
            self._shared[chosen.file.path] = ref, data
            self._shared_left -= len(data)
        return ref, data

    def _read_images(self, files: CampaignFiles) -> list[InlineImage]:
        images = []
        for spec in self._prepared.campaign.template.inline_images:
            try:
                data = files.data(spec.path)
            except FileFault as fault:
                raise CampaignInvalid([file_issue(fault, "/template/inline_images")]) from fault
            ref = blob_ref(data)
            self._image_contents[ref] = data
            name = safe_filename(spec.filename or spec.path.rpartition("/")[2])
            images.append(InlineImage(spec.cid, name, media_type_for(name), ref))
        return images

    def _check_size(self, letter: Letter, size: int) -> None:
        limit = self._prepared.campaign.delivery.max_message_bytes
        if size > limit and not any(issue.code == "too-large" for issue in letter.issues):
            letter.issues.extend(self._compiled.judge([too_large(letter, size, limit)]))

    def _fail(self, letter: Letter, code: str, message: str, hint: str) -> None:
        # Blocks whatever the policy: there is no message to send.
        letter.issues.append(
            Issue(code, Severity.BLOCK, letter.entry.pointer, message, hint, letter.id)
        )


def blob_ref(data: bytes) -> BlobRef:
    """The name of bytes in the blob store."""
    return BlobRef(hashlib.sha256(data).hexdigest(), len(data))


def _built_file(
    chosen: ChosenFile, ref: BlobRef, media_type: str, archive: str | None = None
) -> BuiltFile:
    return BuiltFile(
        chosen.rule.label,
        chosen.shown_path,
        chosen.shown_filename,
        media_type,
        ref.size,
        ref.sha256,
        archive,
        chosen.rule.personal,
    )


def _content_sha256(draft: Draft, files: Sequence[BuiltFile]) -> str:
    """The hash of what a recipient gets, alike in every build of the same letter.

    An encrypted archive has other bytes each time, so of one the files inside count.
    """
    content = [
        repr((draft.sender, draft.reply_to, draft.to, draft.cc, draft.bcc)),
        draft.subject,
        repr((draft.text, draft.html, draft.headers)),
        *(f"{image.cid} {image.blob.sha256}" for image in draft.inline_images),
        *(each.filename for each in draft.attachments),
        *(f"{each.filename} {each.sha256}" for each in [f for f in files if f.archive] or files),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
