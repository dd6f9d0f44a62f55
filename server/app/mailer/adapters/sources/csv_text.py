"""The text of a CSV file: which encoding it is in, and that all of it is."""

from __future__ import annotations

import csv
import io

from app.mailer.adapters.sources.problem import Problem
from app.mailer.adapters.text_encoding import (
    BadByte,
    OtherMark,
    UnknownEncoding,
    ZeroBytes,
    encoding_of,
)
from app.mailer.domain.campaign import Source
from app.mailer.domain.entries.entry import shown


def csv_text(data: bytes, source: Source) -> io.TextIOBase:
    """`data` as text, line breaks as they are; `auto` as `text_encoding` finds it.

    Issue: `wrong-encoding`.
    """
    try:
        encoding = encoding_of(data, source.encoding)
    except UnknownEncoding as error:
        raise Problem(
            "wrong-encoding",
            "/entries/source/encoding",
            f"There is no encoding {shown(source.encoding)}.",
            "Use auto, utf-8, cp1252, utf-16 or another name that Python knows.",
        ) from error
    except OtherMark as error:
        raise Problem(
            "wrong-encoding",
            source.path,
            f"{source.path} begins with the byte order mark of {error.marked}, but the "
            f"campaign says {source.encoding}.",
            "Set `entries.source.encoding` to auto.",
        ) from error
    except ZeroBytes as error:
        raise Problem(
            "wrong-encoding",
            source.path,
            f"{source.path} holds zero bytes, so it is not {error.encoding} text.",
            "If it is UTF-16, set `entries.source.encoding` to utf-16-le; else save it as "
            "“CSV UTF-8”.",
        ) from error
    except BadByte as error:
        raise _undecodable(data, error, source) from error
    return io.TextIOWrapper(io.BytesIO(data), encoding, newline="")


def _undecodable(data: bytes, fault: BadByte, source: Source) -> Problem:
    encoding, offset = fault.encoding, fault.offset
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
