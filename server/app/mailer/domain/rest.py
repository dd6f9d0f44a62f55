"""Those whom a campaign did not reach, as a table that can be a campaign's source again.

Where the entries came from a table, the rest has its columns and rows as they were. Entries that
were written in the campaign's file get the columns that a table of them would have: `id`, `to`, the
fields by their names, and `cc`, `bcc`, `active` where an entry says something of them; what else an
entry may have (a subject, attachments of its own) no table can say. Secrets are left empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from app.mailer.domain.campaign import Campaign, Source
from app.mailer.domain.entries.columns import Columns, folded, plan_columns
from app.mailer.domain.entries.entry import LocalFields

_INLINE = "/entries/inline/"
_LISTS = ("to", "cc", "bcc")
#: What a name in front of an address needs quotes for (RFC 5322, 3.2.3), and our own separator.
_SPECIAL = frozenset('()<>[]:;@\\,."')


class Rest(StrEnum):
    """Who belongs to the rest. Nobody does who has the letter, may have it, or is about to get it:
    to send it again could be twice.

    `failed`: refused, or every try failed. `never_sent`: not queued, cancelled, blocked, or waiting
    for a review. `left_out`: excluded or inactive, so on purpose.
    """

    FAILED = "failed"
    NEVER_SENT = "never_sent"
    LEFT_OUT = "left_out"


class RestTable:
    """The columns of the rest, and what stands in them for one entry.

    `source_columns` is the header of the table that the entries came from, if they did.
    """

    def __init__(self, campaign: Campaign, source_columns: Sequence[str] | None) -> None:
        self._entries = campaign.entries.inline
        self._general = campaign.recipients
        self._fields = LocalFields(campaign.fields)
        self.header = tuple(source_columns or self._usual_columns())
        source = campaign.entries.source if source_columns else None
        self._separator = source.list_separator if source is not None else ";"
        self._columns, _ = plan_columns(
            self.header, source or Source(path="rest.csv"), self._fields
        )

    def rows(
        self, entry_id: str, to: str, pointer: str, source_row: Sequence[str] | None
    ) -> Iterator[list[str]]:
        """The rows of one entry; several where rows of the table were grouped."""
        if source_row:
            width = len(self.header)
            for start in range(0, len(source_row), width):
                yield list(source_row[start : start + width])
            return
        yield self._row(entry_id, to, self._inline(pointer))

    def _usual_columns(self) -> list[str]:
        taken = {folded(each.name) for each in self._fields.fields}
        said: set[str] = set().union(*self._entries)
        own = [key for key in ("id", "to") if key not in taken]
        own += [key for key in ("cc", "bcc", "active") if key in said - taken]
        return [*own, *(each.name for each in self._fields.fields)]

    def _inline(self, pointer: str) -> Mapping[str, Any]:
        number = pointer.removeprefix(_INLINE)
        if pointer.startswith(_INLINE) and number.isascii() and number.isdigit():
            return self._entries[int(number)] if int(number) < len(self._entries) else {}
        return {}

    def _row(self, entry_id: str, to: str, entry: Mapping[str, Any]) -> list[str]:
        cells = [""] * len(self.header)
        columns = self._columns
        if columns is None:
            return cells
        values = entry.get("values", {})
        for name, position in columns.values:
            if name not in self._fields.secrets:
                cells[position] = _text(values.get(name))
        if columns.id is not None:
            cells[columns.id] = entry_id
        if columns.active is not None:
            cells[columns.active] = _text(entry.get("active", True))
        self._put_lists(cells, columns, entry, to)
        return cells

    def _put_lists(
        self, cells: list[str], columns: Columns, entry: Mapping[str, Any], to: str
    ) -> None:
        for key in _LISTS:
            positions = getattr(columns, key)
            if not positions:
                continue
            boxes = entry.get(key)
            if boxes is None and not getattr(self._general.combine, key):
                # An empty cell is an empty list, where a missing key means the campaign's own.
                boxes = getattr(self._general, key)
            joined = f"{self._separator} ".join(_mailbox(each) for each in boxes or ())
            cells[positions[0]] = joined if entry or key != "to" else to


def _mailbox(spec: Any) -> str:
    if isinstance(spec, str):
        return spec
    email, name = (
        (spec.get("email", ""), spec.get("name"))
        if isinstance(spec, Mapping)
        else (spec.email, spec.name)
    )
    if not name:
        return str(email)
    if _SPECIAL & set(name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'
    return f"{name} <{email}>"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
