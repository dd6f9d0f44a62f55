"""From a letter's parts to its frozen bytes (RFC 5322, 2045 to 2049, 2183, 2387, 6532).

Written by hand, not with the standard library's `email`: its serialiser turned the subject
`=?utf-8?q?hi=0D=0ABcc:_x?=` into a header of its own (CVE-2024-6923), and it is many times slower.
Tests hold the two equal in meaning.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID, uuid5

from app.mailer.domain.mailbox import Mailbox
from app.mailer.domain.mime.blob import BlobRef
from app.mailer.domain.mime.body import encode_body
from app.mailer.domain.mime.frame import Frame
from app.mailer.domain.mime.headers import (
    address_header,
    content_id_header,
    custom_header,
    date_header,
    disposition_header,
    media_type_header,
    message_id_header,
    text_header,
    verify_headers,
)

_BODY = ("Content-Type", "Content-Transfer-Encoding")
_FILE = (*_BODY, "Content-Disposition")
_IMAGE = (*_BODY, "Content-ID", "Content-Disposition")


@dataclass(frozen=True, slots=True)
class InlineImage:
    """An image that the HTML shows as `<img src="cid:…">`; `cid` without angle brackets."""

    cid: str
    filename: str
    media_type: str
    blob: BlobRef


@dataclass(frozen=True, slots=True)
class Attached:
    """A file as its recipient sees it."""

    filename: str
    media_type: str
    blob: BlobRef


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that determines a message's bytes.

    `date` is timezone-aware. `message_id` has its angle brackets. `headers` are custom ones, plain
    text. Newlines in `text` and `html` may be of any kind; a final one is added where absent.
    """

    sender: Mailbox
    subject: str
    date: datetime
    message_id: str
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    inline_images: tuple[InlineImage, ...] = ()
    attachments: tuple[Attached, ...] = ()


@dataclass(slots=True)
class _Entity:
    """A MIME part: the names and lines of its `Content-*` headers, and its content."""

    names: tuple[str, ...]
    head: bytes
    content: list[bytes | BlobRef]


def message_id_for(job: UUID, build: UUID, domain: str) -> str:
    """The Message-ID of a job in a build: the same for every attempt, so that repeats show."""
    return f"<{uuid5(build, job.hex)}@{domain}>"


def build_frame(draft: Draft) -> Frame:
    """The complete message of a draft. The same draft always gives the same bytes.

    Raises `UnsafeHeader` for what cannot stand in a header, and `ValueError` for a body with half
    a character (a lone surrogate), a date without time zone, or inline images without HTML.
    """
    if draft.inline_images and draft.html is None:
        raise ValueError("Inline images need an HTML body that shows them.")
    addressed = [
        ("From", (draft.sender,)),
        ("Reply-To", draft.reply_to),
        ("To", draft.to),
        ("Cc", draft.cc),
    ]
    present = [(name, mailboxes) for name, mailboxes in addressed if mailboxes]
    before = date_header(draft.date) + b"".join([address_header(*item) for item in present])
    after = (
        text_header("Subject", draft.subject)
        + message_id_header(draft.message_id)
        + b"".join([custom_header(name, value) for name, value in draft.headers])
        + b"MIME-Version: 1.0\r\n"
    )
    entity = _structure(draft)
    head = before + after + entity.head
    bcc = address_header("Bcc", draft.bcc) if draft.bcc else b""

    everyone = (draft.sender, *draft.reply_to, *draft.to, *draft.cc, *draft.bcc)
    needs_smtputf8 = any(mailbox.needs_smtputf8 for mailbox in everyone)
    names = ["Date", *[name for name, _ in present], "Subject", "Message-ID"]
    names += [name for name, _ in draft.headers]
    verify_headers(head, [*names, "MIME-Version", *entity.names], smtputf8=needs_smtputf8)
    if bcc:
        verify_headers(bcc, ["Bcc"], smtputf8=needs_smtputf8)
    return Frame(_joined([head + b"\r\n", *entity.content]), bcc, len(before), needs_smtputf8)


def _structure(draft: Draft) -> _Entity:
    """mixed(alternative(text, related(html, images)), attachments), less what has one child."""
    boundary = boundary_for(draft.message_id)
    bodies = []
    if draft.text is not None or draft.html is None:
        bodies.append(_body("plain", draft.text or ""))
    if draft.html is not None:
        html = _body("html", draft.html)
        if draft.inline_images:
            images = [
                _Entity(
                    _IMAGE,
                    _image_head(image.cid, image.filename, image.media_type),
                    [image.blob],
                )
                for image in draft.inline_images
            ]
            related = 'related; type="text/html"'
            html = _multipart(related, boundary + "r", [html, *images])
        bodies.append(html)
    entity = bodies[0]
    if len(bodies) > 1:
        entity = _multipart("alternative", boundary + "a", bodies)
    if draft.attachments:
        files = [
            _Entity(_FILE, _file_head(file.filename, file.media_type), [file.blob])
            for file in draft.attachments
        ]
        entity = _multipart("mixed", boundary + "m", [entity, *files])
    return entity


def boundary_for(message_id: str) -> str:
    """What the boundaries of a message begin with.

    They hold `=_`, which no encoded body can: quoted-printable writes `=` only before hex digits
    or a line end, base64 has no `_`, and `encode_body` sends no text as it is that has `=_`.
    """
    return "=_" + hashlib.sha256(message_id.encode()).hexdigest()[:24]


def _multipart(subtype: str, boundary: str, parts: list[_Entity]) -> _Entity:
    delimiter = f"--{boundary}\r\n".encode()
    content: list[bytes | BlobRef] = []
    for part in parts:
        content += (delimiter + part.head + b"\r\n", *part.content, b"\r\n")
    content.append(f"--{boundary}--\r\n".encode())
    head = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n'.encode()
    return _Entity(("Content-Type",), head, content)


def _body(subtype: str, text: str) -> _Entity:
    encoding, content = encode_body(text)
    head = (
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        f"Content-Transfer-Encoding: {encoding}\r\n"
    )
    return _Entity(_BODY, head.encode(), [content])


@lru_cache(maxsize=1024)
def _file_head(filename: str, media_type: str) -> bytes:
    head = (
        media_type_header(media_type, filename)
        + b"Content-Transfer-Encoding: base64\r\n"
        + disposition_header("attachment", filename)
    )
    verify_headers(head, _FILE)
    return head


@lru_cache(maxsize=1024)
def _image_head(cid: str, filename: str, media_type: str) -> bytes:
    head = (
        media_type_header(media_type, filename)
        + b"Content-Transfer-Encoding: base64\r\n"
        + content_id_header(cid)
        + disposition_header("inline", filename)
    )
    verify_headers(head, _IMAGE)
    return head


def _joined(segments: list[bytes | BlobRef]) -> tuple[bytes | BlobRef, ...]:
    """The same bytes with neighbouring literals joined."""
    joined: list[bytes | BlobRef] = []
    literals: list[bytes] = []
    for segment in segments:
        if isinstance(segment, BlobRef):
            joined += (b"".join(literals), segment)
            literals.clear()
        else:
            literals.append(segment)
    if literals:
        joined.append(b"".join(literals))
    return tuple(joined)
