"""A frozen message as its recipient's mail program shows it: headers, text, HTML, images."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage

from app.mailer.domain.mime.blob import BlobRef
from app.mailer.domain.mime.frame import Frame

#: Stands in the place of a blob while the rest is parsed; no base64 has a colon.
_MARK = "blob:"


@dataclass(frozen=True, slots=True)
class Image:
    """An image that comes with the HTML."""

    media_type: str
    blob: BlobRef


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """The parts of a message. `headers` are decoded, in order, each line whole.

    `images` are by content id, without angle brackets. Attachments are left out.
    """

    headers: tuple[tuple[str, str], ...]
    bcc: str
    text: str | None
    html: str | None
    images: Mapping[str, Image] = field(default_factory=dict)

    def header(self, name: str) -> str:
        """The header of this name, `""` where it is absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


def read_message(frame: Frame) -> ReadMessage:
    """What `frame` holds, without reading a blob."""
    skeleton = b"".join(
        f"{_MARK}{number}".encode() if isinstance(segment, BlobRef) else segment
        for number, segment in enumerate(frame.segments)
    )
    message = _parsed(skeleton)
    text = html = None
    images: dict[str, Image] = {}
    for part in message.walk():
        kind = part.get_content_type()
        if part.is_multipart():
            continue
        raw = part.get_payload()
        if part["Content-Transfer-Encoding"] == "base64" and str(raw).startswith(_MARK):
            blob = frame.segments[int(str(raw).removeprefix(_MARK))]
            cid = str(part.get("Content-ID", "")).strip().strip("<>")
            if cid and isinstance(blob, BlobRef):
                images[cid] = Image(kind, blob)
        elif kind == "text/plain" and text is None:
            text = _body(part)
        elif kind == "text/html" and html is None:
            html = _body(part)
    bcc = str(_parsed(frame.bcc + b"\r\n").get("Bcc", "")) if frame.bcc else ""
    headers = tuple((name, _unfolded(str(value))) for name, value in message.items())
    return ReadMessage(headers, _unfolded(bcc), text, html, images)


def _parsed(data: bytes) -> EmailMessage:
    # As text, since addresses of SMTPUTF8 stand in the headers as they are (RFC 6532).
    text = data.decode("utf-8", "replace")
    return email.message_from_string(text, EmailMessage, policy=email.policy.default)


def _body(part: EmailMessage) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


def _unfolded(value: str) -> str:
    return " ".join(value.splitlines())
