"""CSV as a table, as Excel, LibreOffice and scripts write it (RFC 4180 and its neighbours)."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence

from app.mailer.adapters.sources.csv_text import csv_text
from app.mailer.adapters.sources.problem import Problem, checked_header
from app.mailer.domain.campaign import Source
from app.mailer.domain.entries.entry import BrokenCell
from app.mailer.domain.entries.rows import Row, Table
from app.mailer.domain.issues import Issue

DELIMITERS = ";,\t|"
MAX_CELL_CHARACTERS = 8 * 1024 * 1024
MAX_LINE_CHARACTERS = 2 * MAX_CELL_CHARACTERS
_SAID = re.compile(r"sep=([^\r\n\"])[\r\n]*", re.IGNORECASE)
_SAMPLE_CHARACTERS = 64 * 1024
_SAMPLE_RECORDS = 50


def csv_table(data: bytes, source: Source) -> Table:
    """Opens a CSV. Rows are counted as a spreadsheet does: a quoted line break begins no row.

    Besides what the whole format promises, it knows Excel's first line `sep=;` (which Excel does
    not count as a row). Issues: `wrong-encoding`, `bad-source`.
    """
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    text = csv_text(data, source)
    said = _SAID.fullmatch(text.readline())
    begin = text.tell() if said else 0
    if source.delimiter != "auto":
        delimiter = source.delimiter
    elif said:
        delimiter = said[1]
    else:
        text.seek(begin)
        delimiter = guessed_delimiter(text.read(_SAMPLE_CHARACTERS))
    text.seek(begin)
    issues: list[Issue] = []
    records = _Records(text, delimiter, source.path)
    header: list[str] = []
    for number, cells in records:
        if any(cell.strip() for cell in cells):
            header = checked_header(cells, f"{source.path}:{number}")
            break
    if not header:
        raise Problem("bad-source", source.path, f"{source.path} has no rows.")
    records.width = len(header)
    return Table(header, records.rows(issues), issues)


class _Records:
    """The records of a CSV with their numbers, counted from 1."""

    def __init__(self, text: io.TextIOBase, delimiter: str, name: str) -> None:
        self._delimiter = delimiter
        self._name = name
        self._lines: list[str] = []
        self._records = csv.reader(self._kept(text), delimiter=delimiter)
        self._number = 0
        self.width = 0

    def _kept(self, text: io.TextIOBase) -> Iterator[str]:
        """The lines, those of the record being read kept in `_lines`; then one that is not there.

        `csv` takes a quote that never ends without a word. Only if one is open does the line
        after the last become part of its record.
        """
        for line in itertools.chain(text, ("",)):
            if len(line) > MAX_LINE_CHARACTERS:
                # Before it is split: a line of nothing but separators is a list of millions.
                raise csv.Error(f"line larger than line limit ({MAX_LINE_CHARACTERS})")
            self._lines.append(line)
            yield line

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while True:
            self._lines.clear()
            try:
                cells = next(self._records, None)
            except csv.Error as error:
                raise Problem(
                    "bad-source",
                    f"{self._name}:{self._number + 1}",
                    f"Row {self._number + 1} cannot be read: {error}.",
                    "Look for a quote mark that is never closed.",
                ) from error
            if cells is None or self._lines == [""]:
                return
            self._number += 1
            if not self._lines[-1]:
                raise Problem(
                    "bad-source",
                    f"{self._name}:{self._number}",
                    f"Row {self._number} has a quote mark that is never closed.",
                    'Close it, or write a quote mark within a cell as "".',
                )
            yield self._number, cells

    def rows(self, issues: list[Issue]) -> Iterator[Row]:
        try:
            for number, cells in self:
                yield Row(number, self._checked(cells) if len(self._lines) > 1 else cells)
        except Problem as problem:
            issues.append(problem.issue)

    def _checked(self, cells: list[str]) -> Sequence[object]:
        """A cell that swallowed whole rows, because of one quote mark too many, has no value."""
        return [
            BrokenCell("The cell holds whole rows of the table: a quote mark is not closed.")
            if self._swallowed(cell)
            else cell
            for cell in cells
        ]

    def _swallowed(self, cell: str) -> bool:
        inner = cell.splitlines()[1:]
        return any(
            "@" in line
            and len(next(csv.reader([line], delimiter=self._delimiter))) >= self.width > 1
            for line in inner
        )


def guessed_delimiter(sample: str) -> str:
    """The delimiter by which most records are as wide as the first; the wider ones win a tie.

    In a table of one column it is one that does not occur, for cells may hold the others.
    """
    scores = {d: _score(sample, d) for d in DELIMITERS}
    best = max(DELIMITERS, key=lambda d: scores[d])
    if scores[best][1] > 1:
        return best
    return next((d for d in ",;\t|" if d not in sample), ",")


def _score(sample: str, delimiter: str) -> tuple[float, int]:
    try:
        records = itertools.islice(
            csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter), _SAMPLE_RECORDS + 1
        )
        widths = [len(cells) for cells in records if cells]
    except csv.Error:
        return (0.0, 1)
    if len(widths) > 2:
        widths.pop()  # the sample may end within it
    if not widths or widths[0] < 2:
        return (0.0, 1)
    return (sum(width == widths[0] for width in widths) / len(widths), widths[0])
