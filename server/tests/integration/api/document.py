"""The OpenAPI document as tests read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from app.api.application import make_application
from app.bootstrap.program import Program
from app.settings import Settings


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    spec: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.spec["operationId"])

    @property
    def scope(self) -> str:
        return str(self.spec["x-scope"])

    def parameters(self, place: str) -> list[Mapping[str, Any]]:
        return [each for each in self.spec.get("parameters", []) if each["in"] == place]

    @property
    def responses(self) -> dict[str, Mapping[str, Any]]:
        """Each answer by its status, references followed."""
        shared = document()["components"]["responses"]
        return {
            status: shared[each["$ref"].rpartition("/")[2]] if "$ref" in each else each
            for status, each in self.spec["responses"].items()
        }

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The schema of its JSON body, if it has one."""
        content = self.spec.get("requestBody", {}).get("content", {})
        found = content.get("application/json", {}).get("schema")
        return found if found is None else dict(found)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@lru_cache
def document() -> dict[str, Any]:
    """The whole document, put together once."""
    return make_application(Program(Settings())).openapi()


@lru_cache
def operations() -> tuple[Operation, ...]:
    """Every operation there is."""
    return tuple(
        Operation(method.upper(), path, spec)
        for path, methods in document()["paths"].items()
        for method, spec in methods.items()
    )


class NoExample(Exception):
    """A schema that says nowhere what a value of it looks like."""


def example(schema: Mapping[str, Any], where: str = "body") -> Any:
    """A value as the document itself shows it: an example, or one put together from its parts.

    Raises `NoExample` where something that is required is shown nowhere.
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return example(document()["components"]["schemas"][name], where)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for kind in schema.get("anyOf", schema.get("oneOf", [])):
        return example(kind, where)
    match schema.get("type"):
        case "object":
            required = schema.get("required", [])
            return {
                name: example(each, f"{where}.{name}")
                for name, each in schema.get("properties", {}).items()
                if name in required or each.get("examples")
            }
        case "array":
            return [example(schema["items"], f"{where}[]")]
        case "boolean":
            return True
        case "null":
            return None
    raise NoExample(where)
