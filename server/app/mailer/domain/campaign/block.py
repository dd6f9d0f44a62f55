"""What all parts of the campaign file share: the base model and how a key is described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Keys that begin so belong to other programs; they are allowed everywhere and never read.
EXTENSION: Final = "x-"


def without_extensions(raw: Any) -> Any:
    """`raw` without its `x-` keys where it is an object; anything else, and no such key: itself."""
    if isinstance(raw, dict) and any(_is_extension(name) for name in raw):
        return {name: value for name, value in raw.items() if not _is_extension(name)}
    return raw


def _is_extension(name: object) -> bool:
    return isinstance(name, str) and name.startswith(EXTENSION)


def allow_extensions(schema: dict[str, Any]) -> None:
    """Say in a generated JSON Schema object what `without_extensions` does."""
    schema["patternProperties"] = {f"^{EXTENSION}": True}


class Block(BaseModel):
    """One object of the campaign file: strict types, no unknown key, never changed."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        json_schema_extra=allow_extensions,
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_extensions(cls, raw: Any) -> Any:
        return without_extensions(raw)


def key(title: str, description: str, *examples: object, **rules: Any) -> Any:
    """Describe a key for people and editors: title, description, examples; `rules` as `Field`."""
    return Field(title=title, description=description, examples=list(examples), **rules)


#: Marks a key whose value must not show: an editor draws a password field, `repr` leaves it out.
SECRET: Final[Mapping[str, Any]] = {
    "repr": False,
    "json_schema_extra": {"format": "password", "writeOnly": True},
}
