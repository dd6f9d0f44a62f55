"""`entries`: the individual recipients, in the file or in a table beside it."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field, Tag
from typing_extensions import TypedDict

from app.mailer.domain.campaign.attachments import Rule
from app.mailer.domain.campaign.block import Block, allow_extensions, key, without_extensions
from app.mailer.domain.campaign.values import (
    LIST,
    TEXT,
    Filled,
    MailboxList,
    MailboxSpec,
    PathText,
    Value,
)

SourceType: TypeAlias = Literal["csv", "xlsx", "json", "jsonl"]

_ENDINGS: dict[str, SourceType] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".xlsx": "xlsx",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}

_From = TypedDict(  # `from` cannot be written as an attribute
    "_From",
    {
        "from": Annotated[
            MailboxSpec,
            key("From", "A sender of its own. Absent: `recipients.from`.", "a@example.org"),
        ]
    },
    total=False,
)


class EntrySpec(_From, total=False):
    """One recipient as written. A plain dict at run time: 100,000 are checked in 0.3 s."""

    __pydantic_config__ = ConfigDict(  # type: ignore[misc]  # how pydantic configures a TypedDict
        strict=True, extra="forbid", json_schema_extra=allow_extensions
    )

    id: Annotated[
        str,
        key(
            "Id",
            "Unique in the campaign, at most 200 characters. Absent: derived from the content.",
            "m-4711",
            min_length=1,
            max_length=200,
        ),
    ]
    active: Annotated[bool, key("Active", "No: gets nothing. Absent: yes.", False)]
    reply_to: Annotated[
        MailboxList,
        key("Reply to", "Where answers go. Absent: the global list.", ["help@example.org"]),
    ]
    to: Annotated[
        MailboxList,
        key("To", "Who gets it. Absent: the global list.", ["Ada Lovelace <ada@example.org>"]),
    ]
    cc: Annotated[
        MailboxList, key("Cc", "Visible copies. Absent: the global list.", ["b@example.org"])
    ]
    bcc: Annotated[
        MailboxList, key("Bcc", "Hidden copies. Absent: the global list.", ["c@example.org"])
    ]
    values: Annotated[
        dict[str, Value],
        key(
            "Values",
            "Values of the local fields, by field name. Absent: none.",
            {"name": "Ada", "number": "0042"},
        ),
    ]
    attachments: Annotated[
        list[Rule],
        key(
            "Attachments",
            "Rules of its own. Absent: the global rules.",
            [{"file_filter": "extra.pdf"}],
        ),
    ]
    subject: Annotated[
        str,
        key(
            "Subject",
            "In place of `template.subject`. Absent: that one.",
            "Your card, ${local::name}",
        ),
    ]
    note: Annotated[str, key("Note", "For colleagues; never sent.", "Called on Monday.")]


def _each_without_extensions(raw: Any) -> Any:
    if not isinstance(raw, list):
        return raw
    try:
        names = set().union(*raw)  # all keys of all entries, in one step
    except TypeError:
        names = None
    if names is not None and not any(str(name).startswith("x-") for name in names):
        return raw
    return [without_extensions(entry) for entry in raw]


Columns: TypeAlias = Annotated[
    Annotated[Filled, Tag(TEXT)] | Annotated[list[Filled], Tag(LIST)],
    Field(union_mode="left_to_right"),
]


class Mapping_(Block):  # noqa: N801  # `Mapping` is the standard library's
    """Which column is what."""

    to: Annotated[
        Columns | None,
        key("To", "Column, or columns, of `to`. Default: the column of that name.", "E-Mail"),
    ] = None
    cc: Annotated[
        Columns | None,
        key("Cc", "Column, or columns, of `cc`. Default: the column of that name.", "Copy"),
    ] = None
    bcc: Annotated[
        Columns | None,
        key("Bcc", "Column, or columns, of `bcc`. Default: the column of that name.", ["Archive"]),
    ] = None
    active: Annotated[
        Filled | None,
        key(
            "Active",
            "Column that says whether the row counts. Default: the column of that name.",
            "Active",
        ),
    ] = None
    id: Annotated[
        Filled | None,
        key("Id", "Column of the id. Default: the column of that name, else derived.", "Number"),
    ] = None
    values: Annotated[
        dict[str, Filled],
        key(
            "Values",
            "Column of each field, by field name. Default: by the field's name or label.",
            {"name": "First name", "number": "Membership no."},
        ),
    ] = Field(default_factory=dict)


class Source(Block):
    """A table of recipients beside the campaign file."""

    type: Annotated[
        SourceType | None,
        key("Type", "What kind of file it is. Default: by the ending of `path`.", "csv"),
    ] = None
    path: Annotated[
        PathText, key("Path", "The file, relative to the campaign file.", "members.csv")
    ]
    encoding: Annotated[
        Filled,
        key(
            "Encoding",
            "Of a CSV. `auto`: by its byte order mark, else UTF-8, else cp1252. Default: `auto`.",
            "auto",
            "cp1252",
        ),
    ] = "auto"
    delimiter: Annotated[
        str,
        key(
            "Delimiter",
            "One character between the cells of a CSV, or `auto`. Default: `auto`.",
            "auto",
            ";",
            pattern=r"^(auto|[^\r\n\x22])$",
        ),
    ] = "auto"
    sheet: Annotated[
        Filled | None,
        key("Sheet", "The sheet of an XLSX. Default: the first one.", "Members"),
    ] = None
    mapping: Annotated[
        Mapping_ | None,
        key(
            "Columns",
            "Which column is what. Default: by field name or label, case and blanks ignored.",
            {"to": "E-Mail", "id": "Number", "values": {"name": "First name"}},
        ),
    ] = None
    list_separator: Annotated[
        str,
        key(
            "List separator",
            "Between several mailboxes in one cell. Default: `;`.",
            ";",
            min_length=1,
            max_length=10,
        ),
    ] = ";"
    group_by: Annotated[
        Filled | None,
        key(
            "Group by",
            "A column: rows with the same value there make one entry. Default: none, each row "
            "is an entry.",
            "Household",
        ),
    ] = None

    @property
    def kind(self) -> SourceType | None:
        """`type`, else what the ending of `path` says; None where that says nothing."""
        return self.type or _ENDINGS.get(PurePosixPath(self.path).suffix.lower())


class Entries(Block):
    """The individual recipients: those of `source` first, then those of `inline`."""

    inline: Annotated[
        list[EntrySpec],
        BeforeValidator(_each_without_extensions),
        key(
            "Inline",
            "Entries written here. Default: none.",
            [{"id": "m-4711", "to": ["ada@example.org"], "values": {"name": "Ada"}}],
            repr=False,
        ),
    ] = Field(default_factory=list)
    source: Annotated[
        Source | None,
        key(
            "Table",
            "A table with one entry in each row. Default: none.",
            {"type": "csv", "path": "members.csv"},
        ),
    ] = None
