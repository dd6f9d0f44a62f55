"""Entries: the individual recipients of a campaign, from its `inline` list or from rows of a table.

An entry is what was written down about one recipient, with the local values read as their fields'
types. Placeholders in it are not filled in yet, and the campaign's policy is not applied yet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.mailer.domain.campaign import EntrySpec, Field, MailboxSpec, Rule, Source
from app.mailer.domain.campaign.json_text import escaped
from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.fields import BadCell, read_cell
from app.mailer.domain.issues import Issue
from app.mailer.domain.templates.placeholders import nearest

ID_MAX_CHARACTERS = 200
#: What to do about a `bad-cell`.
CORRECT_CELL = "Correct it there, or change the field's type or pattern."


@dataclass(slots=True)
class Entry:
    """One individual recipient. There may be 100,000 in memory, so it is kept small.

    `pointer` is `/entries/inline/17` or `entries.csv:17`. Of the mailboxes, None is a key that is
    missing (the global list holds) and `()` an empty list. `values` has the text of every local
    field, "" where there is none. `rows` are the values of each row of a group, else of the one.
    """

    id: str
    pointer: str
    active: bool = True
    from_: MailboxSpec | None = None
    reply_to: tuple[MailboxSpec, ...] | None = None
    to: tuple[MailboxSpec, ...] | None = None
    cc: tuple[MailboxSpec, ...] | None = None
    bcc: tuple[MailboxSpec, ...] | None = None
    values: dict[str, str] = field(default_factory=dict, repr=False)
    rules: tuple[Rule, ...] | None = None
    subject: str | None = None
    note: str | None = None
    rows: tuple[dict[str, str], ...] = field(default=(), repr=False)
    #: The rows of the table that it came from, cells as text, one row after the other, each as wide
    #: as the header; cells of secret fields are empty. None where it came from no table.
    cells: tuple[str, ...] | None = field(default=None, repr=False)
    #: Fields whose value is there and cannot be read: that is said, and they are not empty.
    unread: tuple[str, ...] = ()
    issues: list[Issue] = field(default_factory=list)

    def add(self, code: str, message: str, hint: str = "", *, pointer: str | None = None) -> None:
        """Notes an issue of this entry at its usual severity."""
        self.issues.append(
            Issue(
                code, CODES[code].severity, pointer or self.pointer, message, hint, self.id or None
            )
        )


@dataclass(frozen=True, slots=True)
class BrokenCell:
    """A cell that is there but has no value to read; `reason` is a sentence."""

    reason: str


#: Says where a field's value stands, for an issue: its pointer, and what to call the place.
Place = Callable[[str], tuple[str, str]]


class LocalFields:
    """The declared fields that an entry can have values of, and how those are read.

    `given_globally` names the fields of scope `both` that have a global value: for them an
    empty local value means the global one, so neither the default nor `required` applies.
    `decisive` ones change what happens to a letter: a table must have a column for them.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        given_globally: frozenset[str] = frozenset(),
        decisive: frozenset[str] = frozenset(),
    ) -> None:
        self.fields = tuple(f for f in fields if f.is_local)
        self.names = frozenset(f.name for f in self.fields)
        self.secrets = frozenset(f.name for f in self.fields if f.type == "secret")
        self.needed = frozenset(
            f.name
            for f in self.fields
            if f.required and f.default is None and f.name not in given_globally
        )
        #: Without a column they would be empty in every row.
        self.columns = frozenset(
            f.name for f in self.fields if f.default is None and f.name not in given_globally
        )
        self.decisive = decisive & self.columns
        self._global_only = frozenset(f.name for f in fields) - self.names
        self._defaults = {
            f.name: "" if f.name in given_globally else _default(f) for f in self.fields
        }

    def read(self, entry: Entry, raw: Mapping[str, object], place: Place) -> dict[str, str]:
        """The text of every local field; what is wrong goes to the entry's issues."""
        values: dict[str, str] = {}
        for declared in self.fields:
            name = declared.name
            value = raw.get(name)
            if value is None or (isinstance(value, str) and not value.strip()):
                text = self._defaults[name]
            else:
                try:
                    if isinstance(value, BrokenCell):
                        raise BadCell(value.reason)
                    text = read_cell(declared.type, value, declared.pattern)
                except BadCell as error:
                    values[name] = ""
                    entry.unread += (name,)
                    pointer, subject = place(name)
                    entry.add("bad-cell", f"{subject}: {error}", CORRECT_CELL, pointer=pointer)
                    continue
            values[name] = text
            if not text and name in self.needed:
                pointer, subject = place(name)
                entry.add(
                    "missing-value",
                    f"{subject} is empty, but the field “{name}” is required.",
                    "Fill it in, or give the field a default.",
                    pointer=pointer,
                )
        return values

    def unknown(self, name: str) -> tuple[str, str]:
        """Message and hint for a value of a field that entries do not have."""
        if name in self._global_only:
            return (
                f"The field “{name}” is global: an entry has no value of its own for it.",
                "Put the value into `global_values`, or give the field the scope `both`.",
            )
        return (
            f"There is no field “{name}”.",
            suggestion(name, self.names) or "Declare it in `fields`.",
        )


def _default(declared: Field) -> str:
    if declared.default is None:
        return ""
    try:
        return read_cell(declared.type, declared.default, declared.pattern)
    except BadCell:
        return ""  # an issue of the campaign file itself, found where that is checked


def entries_from_inline(specs: Iterable[EntrySpec], fields: LocalFields) -> Iterator[Entry]:
    """The entries of `entries.inline`, in order."""
    for index, spec in enumerate(specs):
        entry = Entry(
            "",
            f"/entries/inline/{index}",
            active=spec.get("active", True),
            from_=spec.get("from"),
            reply_to=_mailboxes(spec.get("reply_to")),
            to=_mailboxes(spec.get("to")),
            cc=_mailboxes(spec.get("cc")),
            bcc=_mailboxes(spec.get("bcc")),
            subject=spec.get("subject"),
            note=spec.get("note"),
        )
        rules = spec.get("attachments")
        entry.rules = None if rules is None else tuple(rules)
        raw = spec.get("values") or {}
        base = f"{entry.pointer}/values"

        def place(name: str, base: str = base) -> tuple[str, str]:
            return f"{base}/{escaped(name)}", f"The value “{name}”"

        for name in raw:
            if name not in fields.names:
                entry.add("unknown-field", *fields.unknown(name), pointer=place(name)[0])
        entry.values = fields.read(entry, raw, place)
        entry.rows = (entry.values,)
        name_entry(entry, spec.get("id"), f"{entry.pointer}/id", fields.secrets)
        yield entry


def _mailboxes(given: list[MailboxSpec] | None) -> tuple[MailboxSpec, ...] | None:
    return None if given is None else tuple(given)


def name_entry(entry: Entry, given: str | None, pointer: str, secrets: frozenset[str]) -> None:
    """Gives the entry its id, derived from its content where none is given, and its issues too.

    Secrets stay out of a derived id: whoever saw it could try out the secret behind it.
    """
    wanted = (given or "").strip()
    bad = len(wanted) > ID_MAX_CHARACTERS or not wanted.isprintable()
    entry.id = wanted if wanted and not bad else _derived_id(entry, secrets)
    if bad:
        entry.add(
            "invalid-value",
            f"The id {shown(wanted)} is too long or has a line break or another unprintable "
            "character.",
            f"Use at most {ID_MAX_CHARACTERS} printable characters.",
            pointer=pointer,
        )
    if entry.issues:
        entry.issues = [replace(issue, entry=entry.id) for issue in entry.issues]


def _derived_id(entry: Entry, secrets: frozenset[str]) -> str:
    values = {name: text for name, text in entry.values.items() if text and name not in secrets}
    content = json.dumps([entry.to, entry.cc, entry.bcc, values], sort_keys=True)
    return f"e-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def check_ids(entries: Iterable[Entry]) -> None:
    """Notes `duplicate-id` on every entry whose id another one has; over all sources together."""
    first: dict[str, Entry] = {}
    told: set[str] = set()
    for entry in entries:
        other = first.setdefault(entry.id, entry)
        if other is entry:
            continue
        _note_duplicate(entry, other)
        if entry.id not in told:
            told.add(entry.id)
            _note_duplicate(other, entry)


def _note_duplicate(entry: Entry, other: Entry) -> None:
    entry.add(
        "duplicate-id",
        f"The id {shown(entry.id)} also belongs to the entry at {other.pointer}.",
        "Two entries with the same content get the same id: remove one, or give each its own id.",
    )


def shown(text: str) -> str:
    """A value as a message shows it: quoted, on one line, not endless."""
    short = text if len(text) <= 60 else f"{text[:59]}…"
    return "“" + "".join(c if c.isprintable() else " " for c in short) + "”"


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, or ""."""
    near = nearest(wrong, known)
    return f"Did you mean “{near}”?" if near else ""


def named_source(source: Source) -> Source:
    """The source under its file's bare name, as issues name it: `entries.csv:17`."""
    return source.model_copy(update={"path": source.path.rpartition("/")[2]})
