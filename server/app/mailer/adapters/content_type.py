"""What a file is, from how it begins. Names are not asked: they can say anything."""

from __future__ import annotations

import codecs
import re

import puremagic

from app.mailer.domain.files.disguise import EMPTY, PROGRAM, SCRIPT

#: So many bytes of a file's beginning are enough.
HEAD_BYTES = 64 * 1024

#: Where puremagic is silent, or knows many things that begin alike.
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"MZ", PROGRAM),  # DOS and Windows
    (b"\x7fELF", PROGRAM),
    (b"\xfe\xed\xfa\xce", PROGRAM),  # macOS, four kinds and the fat one
    (b"\xfe\xed\xfa\xcf", PROGRAM),
    (b"\xce\xfa\xed\xfe", PROGRAM),
    (b"\xcf\xfa\xed\xfe", PROGRAM),
    (b"\xca\xfe\xba\xbe", PROGRAM),  # and Java
    (b"\0asm", PROGRAM),
    (b"L\0\0\0\x01\x14\x02\0", PROGRAM),  # a Windows shortcut
    (b"#!", SCRIPT),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"{\\rtf", "application/rtf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)
#: Readers look for it within so many bytes (ISO 32000-1, annex H, note 13).
_PDF_WITHIN = 1024
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HTML = re.compile(rb"(?:<!--.*?-->|\s)*<(?:!doctype\s+html|html|head|body|script)\b", re.I | re.S)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def content_type(head: bytes) -> str:
    """The media type of a file that begins with `head` (`HEAD_BYTES` of it, or all)."""
    if not head:
        return EMPTY
    is_text = head.startswith(_MARKS) or not _CONTROL.search(head)
    for beginning, media_type in _BEGINNINGS:
        # A letter may begin with MZ, too.
        if head.startswith(beginning) and not (is_text and media_type == PROGRAM):
            return media_type
    if b"%PDF-" in head[:_PDF_WITHIN] and not _HTML.match(head):
        return "application/pdf"
    if is_text:
        text = head.removeprefix(codecs.BOM_UTF8)
        return "text/html" if _HTML.match(text) else "text/plain"
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return "application/octet-stream"
    named = next((match.mime_type for match in found if match.mime_type), "")
    # Text has no control characters, so what remains is none, whatever it begins with.
    return named if named and not named.startswith("text/") else "application/octet-stream"
