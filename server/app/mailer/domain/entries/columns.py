"""Columns: which column of a table of recipients means what.

A mapping in the campaign file decides. What it does not mention maps by name: a field by its
name or label, and `to` (also `email`, `e-mail`), `cc`, `bcc`, `id`, `active` by their own, where
case, blanks, `_` and `-` do not count. An empty list or "" in the mapping means no column at all.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from app.mailer.domain.campaign import Field, Source
from app.mailer.domain.campaign.json_text import escaped
from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.entry import LocalFields, shown, suggestion
from app.mailer.domain.issues import Issue, Severity

ALIASES = {
    "to": frozenset({"to", "email"}),  # "e-mail" folds to "email"
    "cc": frozenset({"cc"}),
    "bcc": frozenset({"bcc"}),
    "id": frozenset({"id"}),
    "active": frozenset({"active"}),
}
_MAPPING = "/entries/source/mapping"


@dataclass(frozen=True, slots=True)
class Columns:
    """How rows become entries: positions in `header`; None where the table has no such column."""

    header: tuple[str, ...]
    source_name: str
    fields: LocalFields
    list_separator: str
    to: tuple[int, ...] | None
    cc: tuple[int, ...] | None
    bcc: tuple[int, ...] | None
    id: int | None
    active: int | None
    group: int | None
    values: tuple[tuple[str, int], ...]
    #: The columns that secret fields take their values from.
    secret_positions: frozenset[int] = frozenset()

    def place(self, position: int) -> str:
        """A column as people find it: its name and a spreadsheet's letters."""
        return f"Column {shown(self.header[position])} ({letters(position)})"


def plan_columns(
    header: Sequence[str], source: Source, fields: LocalFields
) -> tuple[Columns | None, list[Issue]]:
    """Reads the header. None in the place of the plan where rows cannot be read by it.

    Issues: `missing-column` (a warning, where rows can do without), `bad-source` (two columns for
    one thing).
    """
    plan = _Plan(tuple(header), source, fields)
    columns = plan.columns()
    blocked = any(issue.severity is Severity.BLOCK for issue in plan.issues)
    return (None if blocked else columns), plan.issues


@dataclass(slots=True)
class _Plan:
    header: tuple[str, ...]
    source: Source
    fields: LocalFields
    issues: list[Issue] = field(default_factory=list)

    def columns(self) -> Columns:
        values = self._values()
        claimed = {position for _, position in values}
        group = self.source.group_by
        return Columns(
            header=self.header,
            source_name=self.source.path,
            fields=self.fields,
            list_separator=self.source.list_separator,
            to=self._list("to", claimed),
            cc=self._list("cc", claimed),
            bcc=self._list("bcc", claimed),
            id=self._single("id", claimed),
            active=self._single("active", claimed),
            group=self._position(group, "/entries/source/group_by") if group else None,
            values=values,
            secret_positions=frozenset(p for name, p in values if name in self.fields.secrets),
        )

    def _list(self, key: str, claimed: Collection[int]) -> tuple[int, ...] | None:
        given = self._mapped(key)
        if given is None:
            found = self._by_name(key, claimed)
            return None if found is None else (found,)
        names = [given] if isinstance(given, str) else given
        found_all = [self._position(name, f"{_MAPPING}/{key}") for name in names if name]
        return tuple(p for p in found_all if p is not None) or None

    def _single(self, key: str, claimed: Collection[int]) -> int | None:
        given = self._mapped(key)
        if given is None:
            return self._by_name(key, claimed)
        return self._position(str(given), f"{_MAPPING}/{key}") if given else None

    def _mapped(self, key: str) -> str | Sequence[str] | None:
        mapping = self.source.mapping
        return None if mapping is None else getattr(mapping, key)

    def _by_name(self, key: str, claimed: Collection[int]) -> int | None:
        """The column named like `key`; one that is no field's comes before one that is."""
        found = [p for p, name in enumerate(self.header) if folded(name) in ALIASES[key]]
        if len(found) > 1:
            found = [p for p in found if p not in claimed] or found
        return self._only(found, f"`{key}`", f"`entries.source.mapping.{key}`")

    def _values(self) -> tuple[tuple[str, int], ...]:
        mapping = self.source.mapping
        given = (mapping.values if mapping is not None else None) or {}
        owned = {folded(declared.name) for declared in self.fields.fields}
        found: list[tuple[str, int]] = []
        for declared in self.fields.fields:
            name = declared.name
            if name in given:
                position = (
                    self._position(given[name], f"{_MAPPING}/values/{escaped(name)}")
                    if given[name]
                    else None
                )
            else:
                before = len(self.issues)
                position = self._field_by_name(declared, owned)
                clash = len(self.issues) > before
                if position is None and name in self.fields.columns and not clash:
                    self._miss(declared)
            if position is not None:
                found.append((name, position))
        return tuple(found)

    def _miss(self, declared: Field) -> None:
        name = declared.name
        if name in self.fields.needed:
            what = f"No column for the required field “{name}”."
        elif name in self.fields.decisive:
            what = f"No column for the field “{name}”, by which files are encrypted or not."
        else:
            what = f"No column for the field “{name}”: it would be empty in every row."
        self._add("missing-column", what, self._hint(declared.heading))
        if name not in self.fields.needed | self.fields.decisive:
            self.issues[-1] = self.issues[-1].with_severity(Severity.WARN)

    def _field_by_name(self, declared: Field, owned: Collection[str]) -> int | None:
        names = {folded(declared.name)}
        label = folded(declared.label or "")
        if label and label not in owned:
            names.add(label)
        found = [p for p, name in enumerate(self.header) if folded(name) in names]
        return self._only(
            found,
            f"the field “{declared.name}”",
            f"`entries.source.mapping.values.{declared.name}`",
        )

    def _only(self, found: Sequence[int], thing: str, key: str) -> int | None:
        if len(found) < 2:
            return found[0] if found else None
        names = " and ".join(f"{shown(self.header[p])} ({letters(p)})" for p in found)
        self._add(
            "bad-source",
            f"The columns {names} both mean {thing}.",
            f"Say which one counts in {key}, or rename the other.",
        )
        return None

    def _position(self, wanted: str, pointer: str) -> int | None:
        if wanted in self.header:
            return self.header.index(wanted)
        alike = [p for p, name in enumerate(self.header) if folded(name) == folded(wanted)]
        if len(alike) == 1:
            return alike[0]
        self._add(
            "missing-column",
            f"{self.source.path} has no column {shown(wanted)}.",
            self._hint(wanted),
            pointer,
        )
        return None

    def _hint(self, wanted: str) -> str:
        listed = ", ".join(shown(name) for name in self.header[:20])
        more = ", …" if len(self.header) > 20 else ""
        return f"{suggestion(wanted, self.header)} The columns are: {listed}{more}.".strip()

    def _add(self, code: str, message: str, hint: str, pointer: str | None = None) -> None:
        severity = CODES[code].severity
        self.issues.append(Issue(code, severity, pointer or self.source.path, message, hint))


def folded(name: str) -> str:
    """A column's name without what does not count: case, blanks, `_`, `-`, the Unicode form."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in text if c not in "_-" and not c.isspace())


def letters(position: int) -> str:
    """The letters of a spreadsheet's column, counted from 0: A, …, Z, AA, AB, …"""
    text = ""
    rest = position + 1
    while rest:
        rest, digit = divmod(rest - 1, 26)
        text = chr(ord("A") + digit) + text
    return text
