"""A tiny writer of real PDFs: one A4 page of text, for benches and for the example."""

from __future__ import annotations

import random
from collections.abc import Sequence

_PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
    b" /Resources << /Font << /F1 4 0 R >> >> >>"
)
_FIXED = (
    b"<< /Type /Catalog /Pages 2 0 R >>",
    b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    _PAGE,
    b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
)
_ESCAPES = {ord("\\"): "\\\\", ord("("): "\\(", ord(")"): "\\)"}
#: Bytes that do not compress, as those of a photograph; one pool, so that padding costs nothing.
_NOISE = random.Random(4711).randbytes(1 << 20)  # noqa: S311 - filler, not a secret


def tiny_pdf(lines: Sequence[str], size: int = 0) -> bytes:
    """A PDF of one page with these lines of text, padded to `size` bytes where it is smaller.

    Characters outside of WinAnsi (cp1252) become `?`. The same lines give the same bytes.
    """
    shown = b"".join(
        b"(" + line.translate(_ESCAPES).encode("cp1252", "replace") + b") Tj T*\n" for line in lines
    )
    content = b"BT /F1 12 Tf 16 TL 72 770 Td\n" + shown + b"ET"
    objects = [*_FIXED, _stream(content)]
    plain = _assemble(objects)
    if len(plain) < size:
        # One more object costs some bytes of its own; the second round corrects for them.
        room = size - len(plain)
        spare = room - (len(_assemble([*objects, _stream(_noise(room))])) - size)
        plain = _assemble([*objects, _stream(_noise(max(0, spare)))])
    return plain


def _noise(length: int) -> bytes:
    return (_NOISE * (length // len(_NOISE) + 1))[:length]


def _stream(data: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(data), data)


def _assemble(objects: Sequence[bytes]) -> bytes:
    parts = [b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"]
    at = len(parts[0])
    places = []
    for number, body in enumerate(objects, 1):
        part = b"%d 0 obj\n%s\nendobj\n" % (number, body)
        places.append(at)
        parts.append(part)
        at += len(part)
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    parts += [b"%010d 00000 n \n" % place for place in places]
    parts.append(
        b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, at)
    )
    return b"".join(parts)
