"""The published JSON Schema of the campaign file, and what it says about one place in a file."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from app.mailer.domain.campaign.root import Campaign

Parts: TypeAlias = Sequence[str | int]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def campaign_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the campaign file, made from the models."""
    return {
        "$schema": _DIALECT,
        "$id": "urn:multimailer:campaign:1.0",
        **Campaign.model_json_schema(by_alias=True, mode="validation"),
        "title": "MultiMailer campaign file",
    }


@functools.cache
def _cached() -> dict[str, Any]:
    return campaign_schema()


def alternatives(parts: Parts) -> list[dict[str, Any]]:
    """What may stand at this place: one schema without `$ref` and `anyOf` for each kind of value.

    Empty where the format does not know the place.
    """
    return _alternatives(_any_item(parts))


def types_at(parts: Parts) -> tuple[str, ...]:
    """The JSON types that may stand at this place: `string`, `integer`, `null` and so on."""
    return _types(_any_item(parts))


def _any_item(parts: Parts) -> tuple[str | int, ...]:
    # One item of a list is like any other, so 100,000 faulty entries are looked up once.
    return tuple([0 if isinstance(part, int) else part for part in parts])


@functools.lru_cache(maxsize=4096)
def _types(parts: tuple[str | int, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for schema in _alternatives(parts):
        kind = schema.get("type", [])
        found.update(dict.fromkeys([kind] if isinstance(kind, str) else kind))
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _alternatives(parts: tuple[str | int, ...]) -> list[dict[str, Any]]:
    if not parts:
        return list(_flat(_cached()))
    outers = _alternatives(parts[:-1])
    return [inner for outer in outers for step in _step(outer, parts[-1]) for inner in _flat(step)]


def described(parts: Parts) -> dict[str, Any]:
    """The schema at this place with its own title, description and examples; {} if unknown."""
    if not parts:
        return _cached()
    for outer in alternatives(parts[:-1]):
        for step in _step(outer, parts[-1]):
            return step
    return {}


def keys_at(parts: Parts) -> list[str]:
    """The keys that an object at this place may have, in the order of the format."""
    names: dict[str, None] = {}
    for schema in alternatives(parts):
        names.update(dict.fromkeys(schema.get("properties", ())))
    return list(names)


def _flat(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in schema:
        yield from _flat(_cached()["$defs"][schema["$ref"].rpartition("/")[2]])
    elif "anyOf" in schema:
        for choice in schema["anyOf"]:
            yield from _flat(choice)
    else:
        yield schema


def _step(schema: dict[str, Any], part: str | int) -> Iterator[dict[str, Any]]:
    if isinstance(part, int):
        if "items" in schema:
            yield schema["items"]
    elif part in schema.get("properties", {}):
        yield schema["properties"][part]
    elif isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]
    else:
        patterns = schema.get("patternProperties", {}).values()
        yield from (inner for inner in patterns if isinstance(inner, dict))
