"""Which encoding a text file is in, and that all of it is."""

from __future__ import annotations

import codecs
import re

# Longest first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF8_CHARACTER = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
_WIDE = ("utf-16", "utf-32", "utf_16", "utf_32")
#: These can spell half a character (a lone surrogate), which no letter can hold.
_REFUSED = frozenset({"utf-7", "unicode-escape", "raw-unicode-escape"})
_CHUNK = 1 << 20
_ASCII = bytes(range(128))


class UnknownEncoding(ValueError):
    """There is no such encoding of text."""


class OtherMark(ValueError):
    """The file begins with the byte order mark of another encoding, `marked`."""

    def __init__(self, marked: str) -> None:
        super().__init__(marked)
        self.marked = marked


class ZeroBytes(ValueError):
    """The file holds zero bytes, so it is not text in `encoding`."""

    def __init__(self, encoding: str) -> None:
        super().__init__(encoding)
        self.encoding = encoding


class BadByte(ValueError):
    """The byte at `offset` does not belong to `encoding`."""

    def __init__(self, encoding: str, offset: int) -> None:
        super().__init__(encoding, offset)
        self.encoding = encoding
        self.offset = offset


def encoding_of(data: bytes, wanted: str) -> str:
    """The encoding, checked to the last byte, that decodes `data`; `wanted` may be `auto`.

    `auto`: by a byte order mark; else UTF-8 where all of it is; else cp1252, as Excel writes on
    Windows. A file that is mostly UTF-8 is not taken for cp1252: names would turn to "MÃ¼ller".
    Raises `UnknownEncoding`, `OtherMark`, `ZeroBytes` or `BadByte`.
    """
    encoding = _chosen(data, wanted)
    if b"\0" in data[:_CHUNK] and not encoding.startswith(_WIDE):
        raise ZeroBytes(encoding)
    fault = _first_fault(data, encoding)
    if fault is not None and wanted == "auto" and encoding == "utf-8" and not _mostly_utf8(data):
        encoding = "cp1252"
        fault = _first_fault(data, encoding)
    if fault is not None:
        raise BadByte(encoding, fault)
    return encoding


def _chosen(data: bytes, wanted: str) -> str:
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if wanted == "auto":
        return marked or "utf-8"
    try:
        asked = codecs.lookup(wanted).name
        "".encode(asked)  # refuses what is no text encoding, such as base64
        codecs.getincrementaldecoder(asked)
    except (LookupError, UnicodeError, ValueError) as error:
        raise UnknownEncoding(wanted) from error
    if asked.replace("_", "-") in _REFUSED:
        raise UnknownEncoding(wanted)
    if marked is None:
        return asked
    if asked.replace("_", "-").startswith(marked.removesuffix("-sig")):
        return marked
    raise OtherMark(marked.removesuffix("-sig"))


def _first_fault(data: bytes, encoding: str) -> int | None:
    """The offset of the first byte that does not decode; in pieces, to keep little in memory."""
    # Behind its byte order mark, utf-8-sig counts from 0 again.
    decoder = codecs.getincrementaldecoder(encoding.removesuffix("-sig"))()
    for start in range(0, len(data), _CHUNK):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + _CHUNK], start + _CHUNK >= len(data))
        except UnicodeError as error:
            return start - held + (error.start if isinstance(error, UnicodeDecodeError) else 0)
    return None


def _mostly_utf8(data: bytes) -> bool:
    multibyte = others = 0
    for start in range(0, len(data), _CHUNK):
        piece = data[start : start + _CHUNK]
        characters = _UTF8_CHARACTER.findall(piece)
        multibyte += len(characters)
        others += len(piece.translate(None, _ASCII)) - sum(map(len, characters))
    return multibyte > others
