"""Where a campaign of the API may read: its tenant's uploads, and the folders in FILE_ROOTS."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from app.mailer.domain.errors import UnsafePath

#: Begins the path of an upload, and stands alone for the folder of all of them.
UPLOADS = "uploads:"


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that may be read: as the operator wrote it, and as it is called behind all links."""

    written: str
    real: str


@dataclass(frozen=True, slots=True)
class Place:
    """Something below a root (None: the uploads): the names of the folders, and its own."""

    root: str | None
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """A name for it that nothing else has."""
        return "/".join([UPLOADS if self.root is None else self.root.rstrip("/"), *self.parts])

    @property
    def path(self) -> str:
        """The path below the root."""
        return "/".join(self.parts)


def confined_place(path: str, base: str, roots: Sequence[Root]) -> Place:
    """Where `path` leads from `base` (`uploads:`, a folder of it, or an absolute folder).

    Only the text is looked at, so that nobody learns what exists elsewhere. Raises `UnsafePath` for
    everything that is neither among the uploads nor below a root.
    """
    if "\0" in path or not _is_text(path):
        raise _outside(path)
    whole = path if path.startswith((UPLOADS, "/")) else posixpath.join(base, path)
    if whole.startswith(UPLOADS):
        below = whole.removeprefix(UPLOADS).removeprefix("/")
        parts = _parts(unicodedata.normalize("NFC", below))
        if parts is None:
            raise _outside(path)
        return Place(None, parts)
    absolute = posixpath.normpath(whole)
    for root in roots:
        for spelling in (root.written, root.real):
            beginning = spelling.rstrip("/") + "/"
            if f"{absolute}/".startswith(beginning):
                return Place(root.real, _parts(absolute[len(beginning) :]) or ())
    raise _outside(path)


def _parts(relative: str) -> tuple[str, ...] | None:
    """The names on the way; None where it leads above where it begins."""
    found = posixpath.normpath(relative) if relative else "."
    if found == ".":
        return ()
    parts = tuple(found.split("/"))
    return None if parts[0] in ("..", "") else parts


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _outside(path: str) -> UnsafePath:
    shown = path.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    shown = shown if len(shown) <= 200 else shown[:199] + "…"
    return UnsafePath(
        f"{shown} is neither among the uploads nor in a folder that campaigns may read here.",
        "Upload the file and give its path there, or have the operator add its folder to "
        "FILE_ROOTS.",
    )
