"""Bodies and files as bytes: always 7-bit, short lines, CRLF only (RFC 2045, 6)."""

from __future__ import annotations

import binascii

import pybase64

_LINE_MAX = 76


def normalised_body(text: str) -> str:
    """The text that a body carries: lines end in LF, the last one too."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if not text or text.endswith("\n") else text + "\n"


def encode_body(text: str) -> tuple[str, bytes]:
    """Transfer encoding and bytes of a text body (UTF-8), lines of at most 76 characters.

    `7bit` only for what no server on the way has a reason to touch, else quoted-printable, or
    base64 where most bytes are outside ASCII (spam filters count base64 of plain text as a
    disguise). Raises `ValueError` for a lone surrogate.
    """
    lines = normalised_body(text)
    try:
        data = lines.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"A body has half a character (U+{ord(lines[error.start]):04X}, a lone surrogate)."
        ) from None
    if _travels_as_it_is(lines):
        return "7bit", data.replace(b"\n", b"\r\n")
    outside_ascii = len(data) - len(lines.encode("ascii", "ignore"))
    data = data.replace(b"\n", b"\r\n")
    if 2 * outside_ascii > len(data):
        return "base64", base64_lines(data) + b"\r\n"
    return "quoted-printable", _quoted_printable(data)


def _travels_as_it_is(lines: str) -> bool:
    """Whether text is safe unencoded: printable ASCII, short lines, nothing that servers change.

    They strip blanks at line ends, put `>` before `From `, and mishandle dots. `=_` is kept out
    for the boundaries' sake.
    """
    return (
        lines.isascii()
        and lines.replace("\n", "").isprintable()
        and "=_" not in lines
        and " \n" not in lines
        and not lines.startswith(("From ", "."))
        and "\nFrom " not in lines
        and "\n." not in lines
        and max(map(len, lines.split("\n"))) <= _LINE_MAX
    )


def _quoted_printable(data: bytes) -> bytes:
    """Quoted-printable (RFC 2045, 6.7) of text with CRLF.

    The standard encoder leaves to chance what begins a line: here none begins with a dot (the end
    of the text in SMTP) or with `From ` (the next letter in a mailbox file). A blank at the end
    of a full line also makes it exceed the limit.
    """
    encoded = binascii.b2a_qp(data, istext=True)
    lines = encoded.split(b"\r\n")
    begun = b"\n" + encoded
    if b"\n." not in begun and b"\nFrom " not in begun and max(map(len, lines)) <= _LINE_MAX:
        return encoded
    finished = []
    for line in map(_shielded, lines):
        rest = line
        while len(rest) > _LINE_MAX:
            inside = rest.find(b"=", _LINE_MAX - 3, _LINE_MAX - 1)  # never cut within =XX
            cut = _LINE_MAX - 1 if inside < 0 else inside
            finished.append(rest[:cut] + b"=")
            rest = _shielded(rest[cut:])
        finished.append(rest)
    return b"\r\n".join(finished)


def _shielded(line: bytes) -> bytes:
    return b"=%02X" % line[0] + line[1:] if line.startswith((b".", b"From ")) else line


def base64_lines(data: bytes) -> bytes:
    """Base64 in lines of 76 characters joined by CRLF, no CRLF after the last (RFC 2045, 6.8)."""
    return pybase64.b64encode(data, wrapcol=_LINE_MAX).replace(b"\n", b"\r\n")


def base64_size(size: int) -> int:
    """Length of `base64_lines` for `size` bytes."""
    characters = (size + 2) // 3 * 4
    return characters + 2 * (max(characters - 1, 0) // _LINE_MAX)
