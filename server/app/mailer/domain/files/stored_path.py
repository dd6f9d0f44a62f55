"""Paths of uploaded files: relative, in normal form C, the same on every system."""

from __future__ import annotations

import re
import unicodedata

from app.mailer.domain.errors import UnsafePath

#: Characters of a whole path, bytes in UTF-8 of each part (file systems take 255), and parts.
MAX_LENGTH, MAX_PART_BYTES, MAX_DEPTH = 1000, 240, 32
#: Controls, line separators, and the characters that turn the direction of writing: a disguise.
_FORBIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def stored_path(text: str) -> str:
    """The path of an uploaded file, `/` between folders; `UnsafePath` with what is wrong."""
    if not text:
        raise UnsafePath("The path is empty.", 'Give one such as "2026/letter.pdf".')
    if _FORBIDDEN.search(text):
        raise _refused(text, "holds a control character", "Remove it from the name.")
    path = unicodedata.normalize("NFC", text)
    if "\\" in path:
        raise _refused(path, "holds a backslash", 'Write "/" between folders.')
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        raise _refused(path, "is absolute", "Write it relative to the folder that is uploaded.")
    if len(path) > MAX_LENGTH:
        raise UnsafePath(
            f"The path has {len(path)} characters; at most {MAX_LENGTH} are kept.", "Shorten it."
        )
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        raise _refused(path, f"is more than {MAX_DEPTH} folders deep", "Use fewer folders.")
    for part in parts:
        if part in ("", ".", ".."):
            raise _refused(
                path, f'has the part "{part}"', "Name each folder once, and none above the first."
            )
        if part != part.strip():
            raise _refused(path, "has a blank at an end of a name", "Remove the blank.")
        if len(part.encode()) > MAX_PART_BYTES:
            raise _refused(
                path, f"has a name of more than {MAX_PART_BYTES} bytes", "Shorten the name."
            )
    return path


def stored_folder(text: str) -> str:
    """A folder of uploaded files; `""` is the one that holds them all. Raises `UnsafePath`."""
    folder = text.removesuffix("/")
    return stored_path(folder) if folder else ""


def _refused(path: str, what: str, hint: str) -> UnsafePath:
    shown = _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", path)
    shown = shown if len(shown) <= 100 else shown[:99] + "…"
    return UnsafePath(f'The path "{shown}" {what}.', hint)
