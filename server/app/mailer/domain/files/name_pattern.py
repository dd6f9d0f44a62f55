"""Glob patterns for one file name: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`, and nothing else.

The meaning is that of `fnmatch.fnmatchcase` on names in Unicode normal form C. There is no escape
character: a value is made literal by writing each special character as a class (`[*]`). Matching
is iterative and takes at most length of name times length of pattern steps, whatever the pattern.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(r"[^\W_]+")
#: Names that programs leave behind; a pattern reaches them only by spelling them out.
_LITTER = frozenset({"thumbs.db", "desktop.ini"})


def nfc(text: str) -> str:
    """`text` in normal form C, so that names written by macOS equal those typed by people."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def tokens(name: str) -> Iterator[str]:
    """The runs of letters and digits in a name."""
    return (found.group() for found in _TOKEN.finditer(name))


def is_hidden(name: str) -> bool:
    """Whether a file or folder is litter: a leading dot, Office's `~$` locks, `Thumbs.db`."""
    return name.startswith((".", "~$")) or name.casefold() in _LITTER


@dataclass(frozen=True, slots=True)
class _CharSet:
    """One character out of ranges, or any but these."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def __contains__(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.negated


_ANY = _CharSet((), negated=True)
_Atom = str | _CharSet
#: What stands between two stars: plain text, or atoms of one character each.
_Segment = str | tuple[_Atom, ...]


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A parsed pattern: its segments in order, with a star between each two."""

    segments: tuple[_Segment, ...]

    @classmethod
    def parse(cls, text: str) -> NamePattern:
        text = nfc(text)
        if "?" not in text and "[" not in text:
            return cls(tuple(text.split("*")))
        segments: list[_Segment] = []
        atoms: list[_Atom] = []
        at = 0
        while at < len(text):
            char = text[at]
            at += 1
            if char == "*":
                segments.append(_segment(atoms))
                atoms = []
            elif char == "?":
                atoms.append(_ANY)
            elif char == "[" and (end := _class_end(text, at)) > 0:
                atoms.append(_char_set(text[at:end]))
                at = end + 1
            else:
                atoms.append(char)
        segments.append(_segment(atoms))
        return cls(tuple(segments))

    @property
    def literal(self) -> str | None:
        """The one name that this pattern matches, where it has no wildcard."""
        first = self.segments[0]
        return first if len(self.segments) == 1 and isinstance(first, str) else None

    @property
    def prefix(self) -> str:
        """The plain text that every match begins with."""
        return _leading(self.segments[0])

    @property
    def suffix(self) -> str:
        """The plain text that every match ends with."""
        last = self.segments[-1]
        return last if isinstance(last, str) else _leading(last[::-1])[::-1]

    def inner_runs(self) -> list[str]:
        """The plain texts of every match other than `prefix` and `suffix`."""
        final = len(self.segments) - 1
        runs: list[str] = []
        for number, segment in enumerate(self.segments):
            found = _runs(segment)
            if number == 0:
                found = found[1:]
            if number == final:
                found = found[:-1]
            runs += [run for run in found if run]
        return runs

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` (in normal form C) fits."""
        segments = self.segments
        first, last = segments[0], segments[-1]
        if len(segments) == 1:
            return len(name) == len(first) and _fits(first, name, 0)
        end = len(name) - len(last)
        if end < len(first) or not _fits(first, name, 0) or not _fits(last, name, end):
            return False
        at = len(first)
        for segment in segments[1:-1]:
            # The leftmost place is always good enough: what follows only needs room.
            at = _find(segment, name, at, end)
            if at < 0:
                return False
            at += len(segment)
        return True

    def spells(self, name: str) -> bool:
        """Whether the pattern names the hidden file `name` on purpose rather than by a wildcard."""
        if name.startswith("."):
            return self.prefix.startswith(".")
        if name.startswith("~$"):
            return self.prefix.startswith("~$")
        return self.literal is not None


def enclosed_tokens(run: str) -> list[str]:
    """The tokens of a plain text that have a separator on both sides: whole tokens of any match."""
    return [
        found.group()
        for found in _TOKEN.finditer(run)
        if found.start() > 0 and found.end() < len(run)
    ]


def _class_end(text: str, start: int) -> int:
    """Where the class that opened before `start` closes, or -1; a first `]` is a member."""
    return text.find("]", start + (2 if text.startswith("!", start) else 1))


def _char_set(members: str) -> _Atom:
    negated = members.startswith("!")
    members = members[1:] if negated else members
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(members):
        if at + 2 < len(members) and members[at + 1] == "-":
            ranges.append((members[at], members[at + 2]))
            at += 3
        else:
            ranges.append((members[at], members[at]))
            at += 1
    if not negated and len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return ranges[0][0]
    return _CharSet(tuple(ranges), negated)


def _segment(atoms: list[_Atom]) -> _Segment:
    plain = [atom for atom in atoms if isinstance(atom, str)]
    return "".join(plain) if len(plain) == len(atoms) else tuple(atoms)


def _runs(segment: _Segment) -> list[str]:
    """The plain texts of a segment, split where a character is free; the ends may be empty."""
    if isinstance(segment, str):
        return [segment]
    runs = [""]
    for atom in segment:
        if isinstance(atom, str):
            runs[-1] += atom
        else:
            runs.append("")
    return runs


def _leading(segment: _Segment) -> str:
    return segment if isinstance(segment, str) else _runs(segment)[0]


def _fits(segment: _Segment, name: str, at: int) -> bool:
    if isinstance(segment, str):
        return name.startswith(segment, at)
    return all(name[at + step] in atom for step, atom in enumerate(segment))


def _find(segment: _Segment, name: str, start: int, end: int) -> int:
    if isinstance(segment, str):
        return name.find(segment, start, end)
    for at in range(start, end - len(segment) + 1):
        if _fits(segment, name, at):
            return at
    return -1
