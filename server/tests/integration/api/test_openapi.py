"""The OpenAPI document is good enough to live from: whole, bounded, with examples that are true."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import jsonschema

from app.api.errors import MEDIA_TYPE
from app.api.forms import in_words
from tests.integration.api.conftest import Api
from tests.integration.api.document import NoExample, document, example, operations

Node = Mapping[str, Any]


def test_operation_ids_are_the_names_of_functions_each_once() -> None:
    ids = [each.id for each in operations()]
    assert len(set(ids)) == len(ids)
    assert all(each.isidentifier() and each.islower() for each in ids)


def test_every_operation_says_what_it_does() -> None:
    tags = {each["name"]: each["description"] for each in document()["tags"]}
    for each in operations():
        assert each.spec["summary"], each.id
        assert each.spec["description"].startswith(each.spec["description"][0].upper()), each.id
        assert len(each.spec["tags"]) == 1, each.id
        assert tags[each.spec["tags"][0]], each.id


def test_every_parameter_has_its_description() -> None:
    silent = {
        f"{operation.id}: {each['name']}"
        for operation in operations()
        for each in operation.spec.get("parameters", [])
        if not each.get("description")
    }
    assert silent == set()


def test_no_parameter_may_be_null() -> None:
    for operation in operations():
        for each in operation.spec.get("parameters", []):
            assert {"type": "null"} not in each["schema"].get("anyOf", []), operation.id


def test_every_error_is_problem_details() -> None:
    wrong = {}
    for operation in operations():
        for status, answer in operation.responses.items():
            expected = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
            if status < "400" or (operation.id, status) == ("get_readiness", "503"):
                continue
            if answer.get("content") != expected:
                wrong[f"{operation.id} {status}"] = answer.get("content")
    assert wrong == {}


def test_every_good_answer_has_its_kind_and_shape() -> None:
    silent = set()
    for operation in operations():
        good = {s: each for s, each in operation.responses.items() if s < "400"}
        assert good, operation.id
        for status, answer in good.items():
            if status in ("204", "304"):
                assert "content" not in answer, operation.id
            elif operation.method != "HEAD" and not all(
                media.get("schema") for media in answer.get("content", {"": {}}).values()
            ):
                silent.add(f"{operation.id} {status}")
    assert silent == set()


def test_what_is_made_says_where_it_is() -> None:
    silent = {
        f"{operation.id} {status}"
        for operation in operations()
        for status in ("201", "202")
        if (answer := operation.responses.get(status)) is not None
        and "Location" not in answer.get("headers", {})
    }
    assert silent == set()


def test_what_takes_if_match_gives_an_etag() -> None:
    for operation in operations():
        if any(each["name"].lower() == "if-match" for each in operation.parameters("header")):
            answers = operation.responses
            assert any("ETag" in each.get("headers", {}) for each in answers.values()), operation.id
            assert "409" in answers, operation.id


def test_every_body_has_an_example_that_it_takes() -> None:
    wrong = {}
    for operation in operations():
        if operation.body is None:
            continue
        schema = {**operation.body, "components": document()["components"]}
        try:
            jsonschema.validate(example(operation.body), schema)
        except (NoExample, jsonschema.ValidationError) as error:
            wrong[operation.id] = str(error).splitlines()[0]
    assert wrong == {}


def test_every_body_is_shown_as_a_whole() -> None:
    """What a page puts together from the members alone would change each of them."""
    silent = {
        operation.id
        for operation in operations()
        if operation.body is not None and not _whole(operation.body).get("examples")
    }
    assert silent == set()


def test_what_is_left_out_of_a_change_has_no_default() -> None:
    schemas = document()["components"]["schemas"]
    wrong = {
        f"{name}.{member}"
        for name in schemas
        if name.endswith("Patch")
        for member, schema in schemas[name]["properties"].items()
        if "default" in schema
    }
    assert wrong == set()


def test_every_example_is_taken_by_its_route(api: Api) -> None:
    wrong = {}
    for operation in operations():
        if operation.body is None:
            continue
        path = re.sub(r"\{\w+\}", str(uuid4()), operation.path)
        answer = api.acme.request(operation.method, path, json=example(operation.body))
        if answer.status_code == 422 and answer.json()["type"] == "/problems/request":
            wrong[operation.id] = answer.text
    assert wrong == {}


def _whole(schema: Node) -> Node:
    """The model of a body, which may be null."""
    schema = next(iter(schema.get("anyOf", [])), schema)
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Node = document()["components"]["schemas"][name] if name else schema
    return found


def test_every_example_of_a_schema_is_of_it() -> None:
    wrong = {}
    for where, schema in _schemas(document()["components"]["schemas"]):
        for each in schema.get("examples", []):
            try:
                jsonschema.validate(each, {**schema, "components": document()["components"]})
            except jsonschema.ValidationError as error:
                wrong[where] = error.message
    assert wrong == {}


def test_everything_that_is_sent_has_bounds() -> None:
    """No text, list or number without an end can be sent, and no member that nobody reads."""
    endless = set()
    for operation in operations():
        sent = {each["name"]: each["schema"] for each in operation.spec.get("parameters", [])}
        if operation.body is not None:
            sent["body"] = operation.body
        for where, schema in _schemas(sent, document()):
            if _is_endless(schema):
                endless.add(f"{operation.id}: {where}")
    assert endless == set()


def test_every_pattern_is_said_in_words() -> None:
    silent = set()
    for operation in operations():
        sent = {each["name"]: each["schema"] for each in operation.spec.get("parameters", [])}
        if operation.body is not None:
            sent["body"] = operation.body
        for where, schema in _schemas(sent, document()):
            # The key of a repetition is looked at by hand, and told in words there.
            if where != "Idempotency-Key" and in_words(schema.get("pattern", "")) is None:
                silent |= {f"{operation.id}: {where}"} if "pattern" in schema else set()
    assert silent == set()


def _is_endless(schema: Node) -> bool:
    if {"enum", "const"} & schema.keys():
        return False
    match schema.get("type"):
        case "string":
            return schema.get("format") not in ("uuid", "date-time") and "maxLength" not in schema
        case "array":
            return "maxItems" not in schema
        case "integer" | "number":
            return not ({"maximum", "exclusiveMaximum"} & schema.keys()) or not (
                {"minimum", "exclusiveMinimum"} & schema.keys()
            )
        case "object":
            return "properties" in schema and schema.get("additionalProperties") is not False
    return False


def _schemas(
    named: Mapping[str, Node], within: Node | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within those that are named; `within` a document, references are followed."""
    waiting = [(name, dict(schema)) for name, schema in named.items()]
    seen = set()
    while waiting:
        where, schema = waiting.pop()
        reference = schema.get("$ref")
        if reference is not None:
            if within is not None and reference not in seen:
                seen.add(reference)
                name = reference.rpartition("/")[2]
                waiting.append((f"{where} ({name})", within["components"]["schemas"][name]))
            continue
        yield where, schema
        waiting += [(f"{where}.{key}", each) for key, each in schema.get("properties", {}).items()]
        for key in ("anyOf", "oneOf", "allOf"):
            waiting += [(f"{where}|{n}", each) for n, each in enumerate(schema.get(key, []))]
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                waiting.append((f"{where}[]", schema[key]))
