"""`attachments`: which files travel with which letter."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from app.mailer.domain.campaign.block import SECRET, Block, key
from app.mailer.domain.campaign.values import Filled, PathText
from app.mailer.domain.issues import Severity

OnAmbiguous: TypeAlias = Literal["block", "review", "warn", "all", "newest"]
ZipMethod: TypeAlias = Literal["deflate", "store"]


class Rule(Block):
    """Which files to attach: a folder and a pattern for names."""

    label: Annotated[
        str | None,
        key("Label", "What messages about this rule call it. Default: the pattern.", "Card"),
    ] = None
    base_dir: Annotated[
        str,
        key(
            "Folder",
            "The folder, below `attachments.base_path`. Placeholders work. Default: `.`.",
            "cards/${global::year}",
        ),
    ] = "."
    file_filter: Annotated[
        Filled,
        key(
            "File filter",
            "A pattern for names with `*`, `?` and `[…]`, case-sensitive. Placeholders work; a "
            "`*` in a value is a star, not a pattern.",
            "${local::number}_*.pdf",
        ),
    ]
    include_subdirs: Annotated[
        bool, key("Subfolders too", "Look in subfolders as well. Default: no.", False)
    ] = False
    required: Annotated[bool, key("Required", "No file is an issue. Default: yes.", True)] = True
    allow_multiple: Annotated[
        bool,
        key(
            "Several files",
            "Attach every match. No: more than one is ambiguous. Default: no.",
            False,
        ),
    ] = False
    on_missing: Annotated[
        Annotated[Severity, Field(strict=False)] | None,
        key(
            "If missing",
            "What no match does to the entry. Default: as `validation_policy` says.",
            "review",
        ),
    ] = None
    on_ambiguous: Annotated[
        OnAmbiguous | None,
        key(
            "If ambiguous",
            "What more matches than allowed do: `block`, `review`, `warn` (attach none), `all` "
            "(attach all), `newest` (attach the newest). Default: as `validation_policy` says.",
            "review",
        ),
    ] = None
    filename: Annotated[
        Filled | None,
        key(
            "File name",
            "What the recipient sees. Placeholders work. Default: the file's own name.",
            "Card ${local::number}.pdf",
        ),
    ] = None
    expect_text: Annotated[
        list[Filled],
        key(
            "Expected text",
            "Texts that every matched PDF must hold: catches the wrong letter in the wrong "
            "envelope. Files of other kinds are not looked into. Placeholders work. Default: none.",
            ["${local::number}"],
        ),
    ] = Field(default_factory=list)


class Zip(Block):
    """One archive for all files of an entry."""

    enabled: Annotated[
        bool, key("Enabled", "Pack each entry's files into one archive. Default: no.", True)
    ] = False
    filename: Annotated[
        Filled,
        key(
            "File name",
            "Of the archive. Placeholders work. Default: `attachments.zip`.",
            "documents-${local::number}.zip",
        ),
    ] = "attachments.zip"
    password: Annotated[
        Filled | None,
        key(
            "Password",
            "Encrypts with AES-256. Placeholders work. Default: none, not encrypted.",
            "${local::pin}",
            **SECRET,
        ),
    ] = None
    method: Annotated[
        ZipMethod,
        key(
            "Method",
            "`deflate` makes files smaller, `store` leaves them as they are. Default: `deflate`.",
            "deflate",
        ),
    ] = "deflate"
    only_if: Annotated[
        str | None,
        key(
            "Only if",
            "A boolean field: entries where it is not true get their files unpacked. "
            "Default: none, always packed.",
            "wants_zip",
        ),
    ] = None


class Attachments(Block):
    """Files of the campaign."""

    base_path: Annotated[
        PathText,
        key(
            "Base folder",
            "All files come from below this folder, which is relative to the campaign file. "
            "Default: `.`.",
            "files",
        ),
    ] = "."
    global_: Annotated[
        list[Rule],
        key(
            "Global rules",
            "Rules for every entry. Default: none.",
            [{"label": "Card", "file_filter": "${local::number}_*.pdf"}],
            alias="global",
        ),
    ] = Field(default_factory=list)
    zip: Annotated[
        Zip,
        key(
            "Archive",
            "Pack each entry's files into one archive. Default: no.",
            {"enabled": True, "filename": "documents.zip", "password": "${local::pin}"},
        ),
    ] = Field(default_factory=Zip)
