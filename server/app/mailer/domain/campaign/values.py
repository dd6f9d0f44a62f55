"""The plain values of the campaign file: scalars, numbers, mailboxes as they are written."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Required, TypeAlias

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    Tag,
    WithJsonSchema,
)
from typing_extensions import TypedDict

from app.mailer.domain.campaign.block import allow_extensions, key, without_extensions

# The tags name the branches of a union in pydantic's error locations. They begin with a bar so
# that they cannot be taken for a key of the file; see `shape_errors`.
TEXT, OBJECT, LIST, SCALAR = "|text", "|object", "|list", "|scalar"

#: The value of a field: text, a number, yes or no, or nothing. A number with a fraction is a
#: Decimal, so that `1.10` stays `1.10`.
Value: TypeAlias = Annotated[
    Annotated[StrictStr, Tag(SCALAR)]
    | Annotated[StrictInt, Tag(SCALAR)]
    | Annotated[StrictBool, Tag(SCALAR)]
    | Annotated[Decimal, Field(strict=False), Tag(SCALAR)]
    | None,
    Field(union_mode="left_to_right"),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]


def _whole(raw: Any) -> Any:
    # JSON has one kind of number, and JSON Schema counts 587.0 as an integer.
    if isinstance(raw, Decimal | float) and abs(float(raw)) < 1e15 and raw == int(raw):
        return int(raw)
    return raw


def _number(raw: Any) -> Any:
    # Strict mode refuses a Decimal for a float.
    return float(raw) if isinstance(raw, Decimal) else raw


#: Stand after a key of type `int` and `float`: they accept what the JSON reader makes of numbers.
WHOLE, NUMBER = BeforeValidator(_whole), BeforeValidator(_number)


class MailboxObject(TypedDict, total=False):
    """A mailbox in two parts."""

    __pydantic_config__ = ConfigDict(  # type: ignore[misc]  # how pydantic configures a TypedDict
        strict=True, extra="forbid", json_schema_extra=allow_extensions
    )

    email: Required[
        Annotated[
            str,
            key(
                "Address",
                "The mail address. Placeholders work.",
                "ada@example.org",
                "${local::email}",
            ),
        ]
    ]
    name: Annotated[
        str,
        key("Name", "The name shown beside the address. Placeholders work.", "Ada Lovelace"),
    ]


#: A mailbox as written: `Ada Lovelace <ada@example.org>` or an object. It may hold placeholders,
#: so it is read as an address only after they are filled in (`domain.mailbox`).
MailboxSpec: TypeAlias = Annotated[
    Annotated[str, Tag(TEXT)]
    | Annotated[MailboxObject, BeforeValidator(without_extensions), Tag(OBJECT)],
    Field(union_mode="left_to_right"),
]


def _as_list(raw: Any) -> Any:
    return [raw] if isinstance(raw, str | dict) else raw


#: Several mailboxes; one alone may stand without the list, and is read as a list of one.
MailboxList: TypeAlias = Annotated[
    list[MailboxSpec],
    BeforeValidator(_as_list, json_schema_input_type=MailboxSpec | list[MailboxSpec]),
]

#: A path inside the campaign's folder, as written. Where it leads is checked when it is opened.
PathText: TypeAlias = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
#: Text that may not be empty.
Filled: TypeAlias = Annotated[str, Field(min_length=1)]
