"""`fields`: the values that letters may use, declared with their types."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from app.mailer.domain.campaign.block import Block, key
from app.mailer.domain.campaign.values import Value

FieldType: TypeAlias = Literal["string", "integer", "decimal", "date", "boolean", "email", "secret"]
FieldScope: TypeAlias = Literal["local", "global", "both"]

FIELD_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Field(Block):
    """One declared field."""

    name: Annotated[
        str,
        key(
            "Name",
            "The name in placeholders. Letters without accents, digits and underscore, not "
            "beginning with a digit; each name once.",
            "number",
            pattern=FIELD_NAME,
        ),
    ]
    label: Annotated[
        str | None,
        key(
            "Label",
            "The name for people; a column with this heading is found too. Default: the name.",
            "Membership number",
        ),
    ] = None
    type: Annotated[
        FieldType,
        key(
            "Type",
            "What its values are. A `secret` is text that shows in no log, report, export or "
            "list. Default: `string`.",
            "integer",
        ),
    ] = "string"
    scope: Annotated[
        FieldScope,
        key(
            "Scope",
            "`local`: each entry has its own value. `global`: one value for the campaign. "
            "`both`: an entry's own, else the global one. Default: `local`.",
            "local",
        ),
    ] = "local"
    required: Annotated[
        bool,
        key("Required", "An entry without a value is an issue. Default: no.", True),
    ] = False
    default: Annotated[
        Value,
        key("Default", "The value where none is given. Default: none.", "Member", repr=False),
    ] = None
    pattern: Annotated[
        str | None,
        key(
            "Pattern",
            "A regular expression that the whole value must match, without look-around and "
            "back-references. Default: none.",
            "[0-9]{4,6}",
        ),
    ] = None

    @property
    def is_local(self) -> bool:
        """Whether an entry may have its own value."""
        return self.scope != "global"

    @property
    def is_global(self) -> bool:
        """Whether `global_values` may have a value."""
        return self.scope != "local"

    @property
    def heading(self) -> str:
        """What people call it: the label, else the name."""
        return self.label or self.name
