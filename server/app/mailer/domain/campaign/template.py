"""`template`: what the letters say."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, Tag

from app.mailer.domain.campaign.block import Block, key
from app.mailer.domain.campaign.values import OBJECT, TEXT, Filled, PathText

Engine: TypeAlias = Literal["placeholders", "jinja2"]


class FileText(Block):
    """Text that is kept in a file of its own."""

    path: Annotated[PathText, key("Path", "The file, relative to the campaign file.", "letter.txt")]
    encoding: Annotated[
        Filled,
        key(
            "Encoding",
            "Of the file. `auto`: by its byte order mark, else UTF-8, else cp1252. "
            "Default: `auto`.",
            "utf-8",
        ),
    ] = "auto"


#: The text itself, or the file that holds it.
TextSource: TypeAlias = Annotated[
    Annotated[str, Tag(TEXT)] | Annotated[FileText, Tag(OBJECT)],
    Field(union_mode="left_to_right"),
]


class InlineImage(Block):
    """An image that the HTML shows, sent along with the letter."""

    cid: Annotated[
        str,
        key(
            "Content id",
            "The HTML refers to it as `cid:…`. Each once; no blanks, no angle brackets.",
            "logo",
            pattern=r"^[!-;=?-~]{1,100}$",
        ),
    ]
    path: Annotated[
        PathText, key("Path", "The image, relative to the campaign file.", "images/logo.png")
    ]
    filename: Annotated[
        Filled | None,
        key("File name", "What a recipient sees. Default: the file's own name.", "logo.png"),
    ] = None


class Template(Block):
    """Subject and bodies. At least one of `text` and `html` must be there."""

    subject: Annotated[
        TextSource | None,
        key(
            "Subject",
            "The subject line, or the file that holds it. Default: none.",
            "Your card ${local::number}",
        ),
    ] = None
    text: Annotated[
        TextSource | None,
        key(
            "Text",
            "The plain text, or the file that holds it. Default: none.",
            {"path": "letter.txt"},
            "Dear ${local::name},\n…",
        ),
    ] = None
    html: Annotated[
        TextSource | None,
        key(
            "HTML",
            "The HTML, or the file that holds it. Values are escaped. Default: none.",
            {"path": "letter.html"},
        ),
    ] = None
    engine: Annotated[
        Engine,
        key(
            "Engine",
            "`placeholders`: `${local::name}` only. `jinja2`: loops and conditions in subject "
            "and bodies. Default: `placeholders`.",
            "placeholders",
        ),
    ] = "placeholders"
    inline_images: Annotated[
        list[InlineImage],
        key(
            "Inline images",
            "Images that the HTML shows by `cid:`. Default: none.",
            [{"cid": "logo", "path": "images/logo.png"}],
        ),
    ] = Field(default_factory=list)
