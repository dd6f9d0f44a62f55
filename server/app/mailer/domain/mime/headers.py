"""Headers as bytes: always 7-bit, short lines, CRLF only (RFC 5322, 2045, 2047, 2231).

Every function that makes a header refuses what could forge one, and `verify_headers` reads the
finished bytes again as a last line of defence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

import pybase64

from app.mailer.domain.mailbox import Mailbox, control_character

LINE_MAX = 998  # RFC 5322, 2.1.1, without CRLF
_FOLD_AT = 76  # RFC 2047, 2: lines with encoded words; below the 78 of RFC 5322
_WORD_MAX = 75  # RFC 2047, 2
#: Longest bare token in a subject; a longer one is encoded, since bare text folds only at spaces.
_TOKEN_MAX = 60
#: A custom header may be a URL, which encoding would break: it may fill a long line.
_CUSTOM_TOKEN_MAX = 900
_NAME_MAX = 60

#: Headers that only the program, or a server on the way, may set (lower case).
RESERVED_HEADERS = frozenset(
    {
        *("bcc", "cc", "date", "from", "message-id", "mime-version", "received", "reply-to"),
        *("return-path", "sender", "subject", "to"),
    }
)
_RESERVED_PREFIXES = ("content-", "resent-")

_HEADER_NAME = re.compile(r"[!-9;-~]{1,76}")  # ftext, RFC 5322, 3.6.8
_TRIMMED = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]"
_ATOMS = re.compile(rf"{_ATEXT}+(?: {_ATEXT}+)*")
_DOMAIN = r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
_LOCAL = rf"(?:{_ATEXT}|[^\x00-\x7f\s])+"
_ADDRESS = re.compile(rf'(?:{_LOCAL}(?:\.{_LOCAL})*|"(?:[^"\\]|\\.)*")@{_DOMAIN}')
_MESSAGE_ID = re.compile(rf"<{_ATEXT}+(?:\.{_ATEXT}+)*@{_DOMAIN}>")
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+\-/^_`{|}~.@]{1,200}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,63}/[A-Za-z0-9!#$&^_.+-]{1,63}")  # RFC 6838, 4.2

_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q = [
    "_" if byte == 0x20 else chr(byte) if byte in _Q_SAFE else f"={byte:02X}" for byte in range(256)
]
_ATTRIBUTE_CHARACTERS = "!#$&+-.^_`|~"  # RFC 5987, 3.2.1, besides letters and digits

#: A table of its own, since the standard library's depends on the machine.
_MEDIA_TYPES = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "epub": "application/epub+zip",
    "gif": "image/gif",
    "gz": "application/gzip",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "md": "text/markdown",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "pdf": "application/pdf",
    "png": "image/png",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "rtf": "application/rtf",
    "svg": "image/svg+xml",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "txt": "text/plain",
    "vcf": "text/vcard",
    "webp": "image/webp",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "application/xml",
    "zip": "application/zip",
}

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class UnsafeHeader(ValueError):
    """A value cannot stand in a header. The message names the header, never the value."""


# ---------------------------------------------------------------- headers


@lru_cache(maxsize=1024)
def text_header(name: str, value: str) -> bytes:
    """An unstructured header, such as Subject, that reads back as exactly `value`."""
    return _text_header(name, value, _TOKEN_MAX)


@lru_cache(maxsize=1024)
def custom_header(name: str, value: str) -> bytes:
    """A header of the campaign's own; refuses the names in `RESERVED_HEADERS`."""
    if _HEADER_NAME.fullmatch(name) is None:
        raise UnsafeHeader(f"A header cannot be called {name[:100]!a}.")
    if name.lower() in RESERVED_HEADERS or name.lower().startswith(_RESERVED_PREFIXES):
        raise UnsafeHeader(f"The program sets the header {name} itself.")
    return _text_header(name, value, _CUSTOM_TOKEN_MAX)


def _text_header(name: str, value: str, token_max: int) -> bytes:
    _refuse_controls(name, value)
    if _TRIMMED.fullmatch(value) and "=?" not in value:
        if len(name) + 2 + len(value) <= _FOLD_AT:
            return f"{name}: {value}\r\n".encode() if value else f"{name}:\r\n".encode()
        tokens = value.split(" ")
        if all(tokens) and max(map(len, tokens)) <= token_max:
            return _folded(name, tokens)
    return _folded(name, encoded_words(value, _FOLD_AT - len(name) - 2))


def address_header(name: str, mailboxes: Sequence[Mailbox]) -> bytes:
    """An address list (RFC 5322, 3.4). A local part outside ASCII stays as it is (RFC 6532)."""
    if len(mailboxes) == 1:
        return _folded(name, _mailbox_units(mailboxes[0]))
    units: list[str] = []
    for mailbox in mailboxes:
        *phrase, address = _mailbox_units(mailbox)
        units += (*phrase, address + ",")
    units[-1] = units[-1][:-1]
    return _folded(name, units)


@lru_cache(maxsize=1024)
def _mailbox_units(mailbox: Mailbox) -> tuple[str, ...]:
    """A mailbox in pieces between which a line may be folded."""
    address, name = mailbox.address, mailbox.name
    _refuse_controls("an address", address)
    # "=?" is legal in a local part, but some readers would decode it there.
    if len(address) > 320 or "=?" in address or _ADDRESS.fullmatch(address) is None:
        raise UnsafeHeader("An address has a form that cannot stand in a header.")
    if not name:
        return (address,)
    _refuse_controls("a name", name)
    if not _is_plain(name):
        return (*encoded_words(name, 64), f"<{address}>")
    if _ATOMS.fullmatch(name):
        return (*name.split(" "), f"<{address}>")
    return (_quoted(name), f"<{address}>")


def date_header(date: datetime) -> bytes:
    """Date (RFC 5322, 3.3); raises `ValueError` without a time zone."""
    offset = date.utcoffset()
    if offset is None:
        raise ValueError("The date of a message needs a time zone.")
    minutes = int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return (
        f"Date: {_DAYS[date.weekday()]}, {date.day:02} {_MONTHS[date.month - 1]} {date.year:04} "
        f"{date.hour:02}:{date.minute:02}:{date.second:02} "
        f"{'-' if minutes < 0 else '+'}{hours:02}{rest:02}\r\n"
    ).encode()


def message_id_header(message_id: str) -> bytes:
    """`message_id` has its angle brackets."""
    if len(message_id) > 900 or "=?" in message_id or _MESSAGE_ID.fullmatch(message_id) is None:
        raise UnsafeHeader(f"{message_id[:100]!a} is not a Message-ID like <a@example.org>.")
    return f"Message-ID: {message_id}\r\n".encode()


def content_id_header(cid: str) -> bytes:
    """Content-ID (RFC 2392); `cid` has no angle brackets."""
    if _CONTENT_ID.fullmatch(cid) is None:
        raise UnsafeHeader(
            f"The content id {cid[:100]!a} may have letters, digits and marks such as . - _ @ only."
        )
    return f"Content-ID: <{cid}>\r\n".encode()


def media_type_for(filename: str) -> str:
    """The media type by the name's ending; `application/octet-stream` for an unknown one."""
    ending = filename.rpartition(".")[2].lower() if "." in filename else ""
    return _MEDIA_TYPES.get(ending, "application/octet-stream")


def media_type_header(media_type: str, filename: str) -> bytes:
    """Content-Type of a file, with `name` in the form that older Outlooks read.

    Composite types become `application/octet-stream`: they must not be base64 (RFC 2046, 5.2).
    """
    _refuse_filename(filename)
    if _MEDIA_TYPE.fullmatch(media_type) is None:
        raise UnsafeHeader(f"{media_type[:100]!a} is not a media type like application/pdf.")
    if media_type.lower().startswith(("message/", "multipart/")):
        media_type = "application/octet-stream"
    words = [filename] if _is_plain_filename(filename) else encoded_words(filename, 64)
    value = '"' + "\r\n ".join(words) + '"'
    return f"Content-Type: {media_type};\r\n name={value}\r\n".encode()


def disposition_header(disposition: str, filename: str) -> bytes:
    """Content-Disposition (RFC 2183), the file name in RFC 2231's form where it needs one."""
    _refuse_filename(filename)
    if _is_plain_filename(filename):
        parameters = [f'filename="{filename}"']
    else:
        pieces = _percent_encoded(filename, 54)
        if len(pieces) == 1:
            parameters = [f"filename*=UTF-8''{pieces[0]}"]
        else:
            pieces[0] = "UTF-8''" + pieces[0]
            parameters = [f"filename*{n}*={piece}" for n, piece in enumerate(pieces)]
    lines = [f"Content-Disposition: {disposition}", *parameters]
    return (";\r\n ".join(lines) + "\r\n").encode()


def verify_headers(head: bytes, names: Sequence[str], *, smtputf8: bool = False) -> None:
    """Read finished header lines again: exactly these headers, in this order, and nothing else.

    Raises `UnsafeHeader` for any difference, a bare CR or LF, a line over 998 bytes, or a byte
    outside ASCII without `smtputf8`.
    """
    lines = head.split(b"\r\n")
    if lines.pop() != b"" or max(map(len, lines), default=0) > LINE_MAX:
        raise UnsafeHeader("A finished header has a line that is too long or does not end.")
    if not len(lines) == head.count(b"\n") == head.count(b"\r"):
        raise UnsafeHeader("A finished header has a bare line break.")
    if b"\x00" in head or not (smtputf8 or head.isascii()):
        raise UnsafeHeader("A finished header has a character that it must not have.")
    found = [line.partition(b":")[0] for line in lines if not line.startswith((b" ", b"\t"))]
    if found != [name.encode() for name in names]:
        raise UnsafeHeader("The finished headers are not the intended ones.")


def _refuse_controls(what: str, value: str) -> None:
    fault = control_character(value)
    if fault is not None:
        raise UnsafeHeader(f"The value of {what} has {fault}, which no header may have.")


def _refuse_filename(filename: str) -> None:
    _refuse_controls("a file name", filename)
    if not filename:
        raise UnsafeHeader("An attachment has no file name.")


def _is_plain(text: str) -> bool:
    """Whether a quoted-string will do: short ASCII without blanks that readers would drop."""
    return (
        len(text) <= _NAME_MAX
        and _TRIMMED.fullmatch(text) is not None
        and "  " not in text
        and "=?" not in text
    )


def _is_plain_filename(filename: str) -> bool:
    """Readers disagree about escapes in file names, so what would need one is encoded instead."""
    return _is_plain(filename) and set('"\\<>').isdisjoint(filename)


def _quoted(text: str) -> str:
    """A quoted-string (RFC 5322, 3.2.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _folded(name: str, units: Sequence[str]) -> bytes:
    """A header whose lines break between units; the first stays beside the name."""
    lines: list[str] = []
    line = f"{name}: {units[0]}"
    for unit in units[1:]:
        if len(line) + 1 + len(unit) > _FOLD_AT:
            lines.append(line)
            line = ""
        line += " " + unit
    lines.append(line + "\r\n")
    return "\r\n".join(lines).encode()


# ---------------------------------------------------------------- encoded words


def encoded_words(text: str, room: int = _WORD_MAX) -> list[str]:
    """`text` as encoded words (RFC 2047), the first within `room` characters where it can be.

    Each takes B or Q, whichever is shorter. No word ends within a character, nor within what
    a reader sees as one (an accent, a family emoji), for some programs decode word by word.
    """
    room = min(room, _WORD_MAX)
    if len(text) <= _WORD_MAX and len(whole := _word(text)) <= room:
        return [whole]
    words: list[str] = []
    pending = ""
    for cluster in _clusters(text):
        if pending and len(_word(pending + cluster)) > room:
            words.append(_word(pending))
            pending, room = "", _WORD_MAX
        pending += cluster
    return [*words, _word(pending)]


def _word(text: str) -> str:
    data = text.encode()
    q = "".join([_Q[byte] for byte in data])
    if len(q) <= (len(data) + 2) // 3 * 4:
        return f"=?utf-8?q?{q}?="
    return f"=?utf-8?b?{pybase64.b64encode(data).decode()}?="


def _clusters(text: str) -> list[str]:
    """What must stay together, in short (the whole of it is UAX 29), up to a word's 45 bytes."""
    clusters: list[str] = []
    for character in text:
        last = clusters[-1] if clusters else ""
        joins = last and (
            unicodedata.category(character) in ("Mn", "Mc", "Me")
            or character == "\u200d"
            or last[-1] == "\u200d"
            or "\U0001f3fb" <= character <= "\U0001f3ff"  # skin tones
            or (len(last) == 1 and _is_flag_letter(last) and _is_flag_letter(character))
        )
        if joins and len((last + character).encode()) <= 45:
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _percent_encoded(text: str, room: int) -> list[str]:
    """Percent-encoded UTF-8 in pieces of at most `room`, none of which ends within a character."""
    pieces = [""]
    for character in text:
        encoded = quote(character, safe=_ATTRIBUTE_CHARACTERS)
        if len(pieces[-1]) + len(encoded) > room:
            pieces.append("")
        pieces[-1] += encoded
    return pieces
