"""Campaign documents for tests, made from the examples that the schema gives for every key."""

from __future__ import annotations

from typing import Any

from app.mailer.domain.campaign.schema import campaign_schema

MINIMAL: dict[str, Any] = {
    "version": "1.0",
    "campaign": {"id": "cards", "name": "Cards"},
}


def complete() -> dict[str, Any]:
    """A document in which every key of the format is there."""
    schema = campaign_schema()
    return _example(schema, schema["$defs"])


def _example(schema: dict[str, Any], defs: dict[str, Any]) -> Any:
    for choice in [schema, *schema.get("anyOf", [])]:
        target = defs[choice["$ref"].rpartition("/")[2]] if "$ref" in choice else choice
        if "properties" in target:
            return {key: _example(inner, defs) for key, inner in target["properties"].items()}
    items = schema.get("items", {})
    if "$ref" in items:
        return [_example(items, defs)]
    return schema["examples"][0]


def draft(**parts: Any) -> dict[str, Any]:
    """The smallest document with these top-level keys added or replaced."""
    return {**MINIMAL, **parts}
