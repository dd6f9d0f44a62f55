"""The names that the recipient sees on the files of one message."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from app.mailer.domain.files.name_pattern import nfc

#: Longest name in UTF-8 bytes; file systems take 255, and " (2)" must still fit.
_MAX_BYTES = 240
_FORBIDDEN = frozenset('/\\:*?"<>|')
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"]
)
#: An ending as programs write it: letters in one case, so that "Dr.Meier" and "2024.11" have none.
_ENDING = re.compile(r"\.(?=[a-z0-9]*[a-z])[a-z0-9]{1,5}$|\.(?=[A-Z0-9]*[A-Z])[A-Z0-9]{1,5}$")


def attachment_names(wanted: Sequence[tuple[str | None, str]]) -> tuple[str, ...]:
    """Safe names, no two the same, for the files of one message in their order.

    Each item is the name that a rule gives (already rendered; None: as on disk) and the file's
    path. A given name without an ending gets the file's. Names that are equal but for case become
    `Bill.pdf`, `Bill (2).pdf`, …
    """
    taken: set[str] = set()
    names: list[str] = []
    for given, path in wanted:
        name = path.rpartition("/")[2]
        if given is not None and given.strip():
            name = _with_ending(given.strip(), name)
        name = _distinct(safe_filename(name), taken)
        taken.add(name.casefold())
        names.append(name)
    return tuple(names)


def safe_filename(name: str) -> str:
    r"""`name` made safe on every system that may save it; each unsafe character becomes `_`.

    Unsafe are `/ \ : * ? " < > |`, control characters and those that turn the direction of
    writing (a disguise for `.exe`), dots at either end, a blank at the end, and the names that
    Windows keeps for devices (`CON`, `NUL.txt`).
    """
    name = "".join("_" if _is_unsafe(char) else char for char in nfc(name))
    name = _without_bare_ends(name) or "_"
    if name.partition(".")[0].strip().casefold() in _RESERVED:
        name = "_" + name
    stem, ending = _split(name)
    room = _MAX_BYTES - len(ending.encode())
    if len(stem.encode()) > room:
        name = stem.encode()[:room].decode(errors="ignore").rstrip(". ") + ending
    return name


def _without_bare_ends(name: str) -> str:
    """Dots at the front, and dots and blanks at the end, as `_`."""
    behind = name.lstrip(".")
    core = behind.rstrip(". ")
    return "_" * (len(name) - len(behind)) + core + "_" * (len(behind) - len(core))


def _is_unsafe(char: str) -> bool:
    if char in _FORBIDDEN:
        return True
    if char.isascii():
        return char < " " or char == "\x7f"
    # Controls, lone surrogates, line and paragraph separators, the bidirectional controls.
    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _TURNING


_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _split(name: str) -> tuple[str, str]:
    found = _ENDING.search(name)
    return (name[: found.start()], found.group()) if found and found.start() else (name, "")


def _with_ending(given: str, original: str) -> str:
    ending = "." + original.rpartition(".")[2] if "." in original.lstrip(".") else ""
    if not ending or _split(given)[1] or given.casefold().endswith(ending.casefold()):
        return given
    return given.rstrip(". ") + ending


def _distinct(name: str, taken: set[str]) -> str:
    stem, ending = _split(name)
    number = 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem} ({number}){ending}"
    return name
