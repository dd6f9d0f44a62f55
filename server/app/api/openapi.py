"""The OpenAPI document: what FastAPI finds out, made whole and tidy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.errors import Problem
from app.api.openapi_text import DESCRIPTION, EXAMPLES, PARAMETERS, SCHEMES, TAGS
from app.api.routing import DESCRIPTIONS, error

Node = dict[str, Any]

_REFERENCE = re.compile(r"#/components/schemas/(\w+)")
_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "For `If-Match`"}}
#: Headers of answers, by the status that they belong to.
_HEADERS: dict[str, Node] = {
    "201": {
        "Location": {
            "schema": {"type": "string", "format": "uri-reference"},
            "description": "Where it is",
        }
    },
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "`Bearer`"}},
    **{
        status: {
            "Retry-After": {
                "schema": {"type": "integer", "minimum": 0},
                "description": "Seconds after which to try again, where that is known",
            }
        }
        for status in ("429", "503")
    },
}


def describe(app: FastAPI) -> None:
    """Has `app` answer with the whole document."""

    def document() -> Node:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way


def _document(app: FastAPI) -> Node:
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=DESCRIPTION,
        routes=app.routes,
    )
    components = found.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    schemas = components.setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas[Problem.__name__] = problem
    # FastAPI's own shape of errors, which no route here answers with.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    used = {tag for each in operations(found) for tag in each["tags"]}
    found["tags"] = [
        {"name": name, "description": text} for name, text in TAGS.items() if name in used
    ]
    for path in found["paths"].values():
        for method, operation in path.items():
            _tidy_operation(operation)
            if method == "head":
                _drop_body(operation)
            if _takes_an_id(operation, schemas):
                operation["responses"].setdefault("404", error(DESCRIPTIONS[404]))
        if any(_takes_if_match(each) for each in path.values()):
            _tag(path)
    for schema in schemas.values():
        _tidy_schema(schema)
    components["responses"] = _share_errors(found)
    return found


def operations(document: Node) -> Iterator[Node]:
    """Every operation of a document."""
    for path in document["paths"].values():
        yield from path.values()


def _tidy_operation(operation: Node) -> None:
    parameters = operation.get("parameters", [])
    for each in parameters:
        if each["in"] == "header" and each["name"].islower():
            each["name"] = each["name"].title()
        each["schema"] = _without_null(each["schema"])
        text = each.get("description") or each["schema"].pop("description", None)
        each["schema"].pop("description", None)
        if text := text or PARAMETERS.get(each["name"]):
            each["description"] = text
        _tidy_schema(each["schema"])
    body = operation.get("requestBody")
    for media in (body or {}).get("content", {}).values():
        _tidy_schema(media["schema"])
    responses = operation["responses"]
    for status, response in responses.items():
        if status in _HEADERS:
            response["headers"] = {**_HEADERS[status], **response.get("headers", {})}
        for media in response.get("content", {}).values():
            # A file is a text of whatever characters.
            _tidy_schema(media.setdefault("schema", {"type": "string"}))


def _drop_body(operation: Node) -> None:
    """A good answer to HEAD has none, whatever FastAPI takes for granted."""
    for status, response in operation["responses"].items():
        if status < "400":
            response.pop("content", None)


def _takes_an_id(operation: Node, schemas: Node) -> bool:
    """Whether a query or a body may name a thing; the routes with an id in the path say so."""
    sent = [each["schema"] for each in operation.get("parameters", [])]
    sent += [
        each["schema"] for each in operation.get("requestBody", {}).get("content", {}).values()
    ]
    names = {name for each in sent for name in _REFERENCE.findall(str(each))}
    return "'uuid'" in str([*sent, *(schemas[name] for name in names)])


def _share_errors(document: Node) -> Node:
    """Has operations refer to the errors that most of them can answer with."""
    shared: Node = {}
    for status, text in DESCRIPTIONS.items():
        shared[f"Error{status}"] = error(text)
        if headers := _HEADERS.get(str(status)):
            shared[f"Error{status}"]["headers"] = headers
    for operation in operations(document):
        responses = operation["responses"]
        for status, response in responses.items():
            if response == shared.get(f"Error{status}"):
                responses[status] = {"$ref": f"#/components/responses/Error{status}"}
    return shared


def _takes_if_match(operation: Node) -> bool:
    return any(each["name"].lower() == "if-match" for each in operation.get("parameters", []))


def _tag(path: Node) -> None:
    """What may be changed under a condition has a tag wherever it is shown."""
    for operation in path.values():
        for status, response in operation["responses"].items():
            if status in ("200", "201", "409") and "content" in response:
                response["headers"] = {**_ETAG, **response.get("headers", {})}


def _without_null(schema: Node) -> Node:
    """A parameter is there or not; it is never null, which an optional one's type would say."""
    kinds = [each for each in schema.get("anyOf", []) if each != {"type": "null"}]
    if "anyOf" not in schema:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**kinds[0], **rest} if len(kinds) == 1 else {**rest, "anyOf": kinds}


def _tidy_schema(schema: Node) -> None:
    """Leaves out titles that only repeat a name, and shows what an id and a time look like."""
    for inner in _inner(schema):
        _tidy_schema(inner)
    if "properties" not in schema:
        schema.pop("title", None)
    example = EXAMPLES.get(schema.get("format", ""))
    if example is not None and "examples" not in schema:
        schema["examples"] = [example]


def _inner(schema: Node) -> Iterator[Node]:
    yield from schema.get("properties", {}).values()
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from schema.get(key, [])
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield schema[key]
