"""What makes a source unreadable as a whole, and the checks of a header that all types share."""

from __future__ import annotations

from collections.abc import Sequence

from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.columns import letters
from app.mailer.domain.entries.entry import shown
from app.mailer.domain.entries.rows import Table
from app.mailer.domain.issues import Issue


class Problem(Exception):
    """A fault of the source as a whole, as an issue."""

    def __init__(self, code: str, pointer: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.issue = Issue(code, CODES[code].severity, pointer, message, hint)


#: As many as a spreadsheet has.
MAX_COLUMNS = 16_384
MAX_CELLS = 20_000_000


def refused(issue: Issue) -> Table:
    return Table([], iter(()), [issue])


def checked_header(cells: Sequence[str], pointer: str) -> list[str]:
    """The names of the columns, blank ones at the end left out.

    Raises `Problem` where names are blank, stand twice, or are all blank.
    """
    header = [cell.strip().removeprefix("\ufeff").strip() for cell in cells]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise Problem(
            "bad-source",
            pointer,
            "The table has no header.",
            "The first row must name the columns.",
        )
    if len(header) > MAX_COLUMNS:
        raise Problem(
            "bad-source",
            pointer,
            f"The table has {len(header):,} columns; at most {MAX_COLUMNS:,} are read.",
            "Keep only the columns that the letters need.",
        )
    faults: list[str] = []
    blank = [letters(position) for position, name in enumerate(header) if not name]
    if blank:
        faults.append(f"no name for column {', '.join(blank)}")
    places: dict[str, list[str]] = {}
    for position, name in enumerate(header):
        if name:
            places.setdefault(name, []).append(letters(position))
    faults += [
        f"the name {shown(name)} for the columns {', '.join(where)}"
        for name, where in places.items()
        if len(where) > 1
    ]
    if faults:
        raise Problem(
            "bad-source",
            pointer,
            f"The header has {'; '.join(faults)}.",
            "Give each column a name of its own, or delete it.",
        )
    return header
