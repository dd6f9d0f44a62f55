"""The text of a CSV file: which encoding it is in, and that all of it is."""

from __future__ import annotations

import codecs
import csv
import io
import re

from app.mailer.adapters.sources.problem import Problem
from app.mailer.domain.campaign import Source
from app.mailer.domain.entries import shown

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
_CHUNK = 1 << 20


def csv_text(data: bytes, source: Source) -> io.TextIOBase:
    """`data` as text, checked to the last byte, line breaks as they are. Issue: `wrong-encoding`.

    `auto`: by a byte order mark; else UTF-8 where all of it is; else cp1252, as Excel writes on
    Windows. A file that is mostly UTF-8 is not taken for cp1252: names would turn to "MÃ¼ller".
    """
    encoding = _chosen(data, source)
    if b"\0" in data[:_CHUNK] and not encoding.startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        raise Problem(
            "wrong-encoding",
            source.path,
            f"{source.path} holds zero bytes, so it is not {encoding} text.",
            "If it is UTF-16, set `entries.source.encoding` to utf-16-le; else save it as "
            "“CSV UTF-8”.",
        )
    fault = _first_fault(data, encoding)
    if fault is not None and source.encoding == "auto" and encoding == "utf-8":
        if _mostly_utf8(data):
            raise _undecodable(data, "utf-8", fault, source)
        encoding = "cp1252"
        fault = _first_fault(data, encoding)
    if fault is not None:
        raise _undecodable(data, encoding, fault, source)
    return io.TextIOWrapper(io.BytesIO(data), encoding, newline="")


def _chosen(data: bytes, source: Source) -> str:
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if source.encoding == "auto":
        return marked or "utf-8"
    try:
        asked = codecs.lookup(source.encoding).name
        "".encode(asked)  # refuses what is no text encoding, such as base64
        codecs.getincrementaldecoder(asked)
    except (LookupError, UnicodeError) as error:
        raise Problem(
            "wrong-encoding",
            "/entries/source/encoding",
            f"There is no encoding {shown(source.encoding)}.",
            "Use auto, utf-8, cp1252, utf-16 or another name that Python knows.",
        ) from error
    if marked is None:
        return asked
    if asked.replace("_", "-").startswith(marked.removesuffix("-sig")):
        return marked
    raise Problem(
        "wrong-encoding",
        source.path,
        f"{source.path} begins with the byte order mark of {marked.removesuffix('-sig')}, but the "
        f"campaign says {source.encoding}.",
        "Set `entries.source.encoding` to auto.",
    )


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
    multibyte = _UTF8_CHARACTER.findall(data)
    others = sum(byte > 0x7F for byte in data) - sum(map(len, multibyte))
    return len(multibyte) > others


def _undecodable(data: bytes, encoding: str, offset: int, source: Source) -> Problem:
    before = io.StringIO(data[:offset].decode(encoding, "ignore"), newline="")
    delimiter = source.delimiter if len(source.delimiter) == 1 else ";"
    row = max(1, sum(1 for _ in csv.reader(before, delimiter=delimiter)))
    return Problem(
        "wrong-encoding",
        f"{source.path}:{row}",
        f"Byte 0x{data[offset]:02X} in row {row} (byte {offset + 1} in all) is not {encoding}.",
        "Save the table as “CSV UTF-8”, or name its encoding in `entries.source.encoding` "
        "(Excel on Windows: cp1252).",
    )
