"""Rows: what a table of recipients holds, and how its rows become entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.mailer.domain.entries.columns import Columns, letters
from app.mailer.domain.entries.entry import CORRECT_CELL, BrokenCell, Entry, name_entry, shown
from app.mailer.domain.entries.fields import BadCell, read_cell, truth
from app.mailer.domain.issues import Issue


class Row(NamedTuple):
    """One row below the header.

    `number` is the row that a spreadsheet shows (the header is usually row 1; line breaks within
    a cell do not count), the line of a JSONL file, or the place of the object in a JSON list,
    counted from 1. `cells` are raw: text from CSV, typed values from XLSX and JSON, None where
    empty, `BrokenCell` where there is no value to be read.
    """

    number: int
    cells: Sequence[object]


@dataclass(slots=True)
class Table:
    """A source of recipients, opened. Its rows can be read once, as they are asked for.

    `issues` concern the source as a whole. It grows while rows are read: look again at the end.
    With a blocking issue found on opening, there are neither header nor rows.
    """

    header: list[str]
    rows: Iterator[Row]
    issues: list[Issue]


def entries_from_rows(
    rows: Iterable[Row], columns: Columns, must_agree: frozenset[str] | None = None
) -> Iterator[Entry]:
    """The entries of a table, in order; rows of one group make one entry, where its first row is.

    `must_agree` names the fields that have to be the same in all rows of a group (those used
    outside of `rows`); None means all. Blank rows are skipped.
    """
    read: Iterator[_Reading] = (_Reading(row, columns) for row in rows if not _blank(row.cells))
    if columns.group is not None:
        read = _grouped(read, columns, must_agree)
    for reading in read:
        entry = reading.entry
        name_entry(entry, reading.id, entry.pointer, columns.fields.secrets)
        yield entry


def _blank(cells: Sequence[object]) -> bool:
    return all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in cells)


class _Reading:
    """One row, read by its columns; the entry has no id yet."""

    __slots__ = ("columns", "entry", "group", "id", "number")

    def __init__(self, row: Row, columns: Columns) -> None:
        self.columns = columns
        self.number, cells = row
        self.entry = entry = Entry("", f"{columns.source_name}:{row.number}")
        width = len(columns.header)
        shifted = len(cells) > width and not _blank(cells[width:])
        if len(cells) < width:
            cells = [*cells, *[None] * (width - len(cells))]

        def place(name: str) -> tuple[str, str]:
            position = dict(columns.values).get(name)
            subject = f"The field “{name}”" if position is None else columns.place(position)
            return entry.pointer, subject

        raw = {name: cells[position] for name, position in columns.values}
        entry.values = columns.fields.read(entry, raw, place)
        entry.rows = (entry.values,)
        entry.cells = _texts(cells[:width], columns.secret_positions)
        entry.to = self._mailboxes(columns.to, cells)
        entry.cc = self._mailboxes(columns.cc, cells)
        entry.bcc = self._mailboxes(columns.bcc, cells)
        self.id = self._text(columns.id, cells)
        self.group = self._text(columns.group, cells)
        entry.active = self._active(cells)
        if shifted:
            # The cells stand in the wrong columns: one fault, not twenty, and no "inactive".
            entry.issues.clear()
            entry.unread = tuple(entry.values)
            entry.active = True
            entry.add(
                "bad-cell",
                f"Row {row.number} has {len(cells)} cells, but the header has {width}: cells from "
                f"column {letters(width)} on belong to no column.",
                "Put a cell that holds the delimiter or a quote mark into quotes, or name the "
                "extra columns.",
            )

    def _text(self, position: int | None, cells: Sequence[object]) -> str | None:
        """The text of a cell, "" where there is none; None where it cannot be read."""
        if position is None or cells[position] is None:
            return ""
        cell = cells[position]
        try:
            if isinstance(cell, BrokenCell):
                raise BadCell(cell.reason)
            return read_cell("string", cell).strip()
        except BadCell as error:
            self.entry.add("bad-cell", f"{self.columns.place(position)}: {error}", CORRECT_CELL)
            return None

    def _mailboxes(
        self, positions: tuple[int, ...] | None, cells: Sequence[object]
    ) -> tuple[str, ...] | None:
        """None without a column. An empty cell is an empty list: it never means the global one."""
        if positions is None:
            return None
        separator = self.columns.list_separator
        return tuple(
            part for p in positions for part in split_list(self._text(p, cells) or "", separator)
        )

    def _active(self, cells: Sequence[object]) -> bool:
        position = self.columns.active
        if position is None or _blank([cells[position]]):
            return True
        cell = cells[position]
        try:
            if isinstance(cell, BrokenCell):
                raise BadCell(cell.reason)
            return truth(cell)
        except BadCell as error:
            self.entry.add("bad-cell", f"{self.columns.place(position)}: {error}", CORRECT_CELL)
            return True


def _grouped(
    readings: Iterable[_Reading], columns: Columns, must_agree: frozenset[str] | None
) -> Iterator[_Reading]:
    groups: dict[str | int, list[_Reading]] = {}
    for reading in readings:
        if reading.group:
            groups.setdefault(reading.group, []).append(reading)
            continue
        if reading.group is not None:
            assert columns.group is not None
            reading.entry.add(
                "bad-cell",
                f"{columns.place(columns.group)} is empty, but rows are grouped by it.",
                "Fill it in, or leave the whole row empty.",
            )
        groups[reading.number] = [reading]  # an entry of its own, in its place
    for first, *others in groups.values():
        _merge(first, others, must_agree)
        yield first


def _merge(first: _Reading, others: Sequence[_Reading], must_agree: frozenset[str] | None) -> None:
    """Makes one entry of a group's rows; each thing that differs is said once."""
    if not others:
        return
    entry, columns = first.entry, first.columns
    secrets = columns.fields.secrets
    hidden = any(p == columns.group and name in secrets for name, p in columns.values)
    group = "of one group" if hidden else f"of the group {shown(first.group or '')}"
    told: set[str] = set()
    for reading in others:
        other = reading.entry
        entry.issues += other.issues
        entry.unread += other.unread
        for thing, detail in _differences(first, reading, secrets, must_agree):
            if thing in told:
                continue
            told.add(thing)
            entry.add(
                "group-conflict",
                f"{thing} differs between the rows {first.number} and {reading.number} {group}"
                f"{detail}.",
                "Rows of one group make one letter: give them the same value here, or another "
                "group.",
                pointer=other.pointer,
            )
    entry.rows = tuple(reading.entry.values for reading in (first, *others))
    entry.cells = tuple(cell for each in (first, *others) for cell in each.entry.cells or ())
    # "Inactive" is graver than a conflict and would hide it.
    entry.active = entry.active or any(reading.entry.active for reading in others)


def _differences(
    first: _Reading,
    other: _Reading,
    secrets: frozenset[str],
    must_agree: frozenset[str] | None,
) -> Iterator[tuple[str, str]]:
    mine, its = first.entry, other.entry
    pairs: tuple[tuple[str, object, object], ...] = (
        ("to", mine.to, its.to),
        ("cc", mine.cc, its.cc),
        ("bcc", mine.bcc, its.bcc),
        ("id", first.id, other.id),
        ("active", mine.active, its.active),
    )
    for key, ours, theirs in pairs:
        if ours != theirs:
            yield f"`{key}`", ""
    for name, value in mine.values.items():
        if value != its.values[name] and (must_agree is None or name in must_agree):
            both = f": {shown(value)} and {shown(its.values[name])}"
            yield f"The field “{name}”", "" if name in secrets else both


def _texts(cells: Sequence[object], hidden: frozenset[int]) -> tuple[str, ...]:
    """Cells as the text that a table would show for them; empty where it is hidden or broken."""
    return tuple(
        "" if position in hidden else cell if isinstance(cell, str) else _text_of(cell)
        for position, cell in enumerate(cells)
    )


def _text_of(cell: object) -> str:
    if cell is None or isinstance(cell, BrokenCell):
        return ""
    try:
        return read_cell("string", cell)
    except BadCell:
        return ""


def split_list(cell: str, separator: str) -> list[str]:
    """The mailboxes of one cell; a separator within quotes or angle brackets does not split."""
    if separator not in cell:
        return [cell.strip()] if cell.strip() else []
    parts: list[str] = []
    start = at = 0
    quoted = angle = False
    while at < len(cell):
        char = cell[at]
        if quoted:
            if char == "\\":
                at += 1
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char in "<>":
            angle = char == "<"
        elif not angle and cell.startswith(separator, at):
            parts.append(cell[start:at])
            at += len(separator)
            start = at
            continue
        at += 1
    parts.append(cell[start:])
    return [part.strip() for part in parts if part.strip()]
