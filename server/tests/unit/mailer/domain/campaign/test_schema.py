"""The published schema: valid, described throughout, and of one mind with the models."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import app.mailer.schemas
from app.mailer.domain.campaign.schema import alternatives, campaign_schema, keys_at
from app.mailer.domain.campaign.shape import read_shape, read_shape_of

from .documents import MINIMAL, complete, draft

SCHEMA = campaign_schema()
# Rust's regular expressions, as ECMAScript's, do not let `$` match before a line break.
VALIDATOR = jsonschema_rs.Draft202012Validator(SCHEMA)
COMPLETE = complete()


def _properties(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            yield f"{place}/{name}", inner
        for name, inner in schema.items():
            yield from _properties(inner, f"{place}/{name}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from _properties(inner, place)


def test_it_is_valid_draft_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_file_in_the_repository_is_the_generated_one() -> None:
    file = Path(next(iter(app.mailer.schemas.__path__))) / "campaign.schema.json"
    assert json.loads(file.read_text(encoding="utf-8")) == SCHEMA


def test_every_key_has_a_title_a_description_and_an_example() -> None:
    seen = 0
    for place, schema in _properties(SCHEMA):
        assert schema.get("title"), place
        assert schema.get("description"), place
        assert schema.get("examples"), place
        seen += 1
    assert seen > 100


def test_every_example_is_valid_where_it_stands() -> None:
    for place, schema in _properties(SCHEMA):
        validator = jsonschema_rs.Draft202012Validator({**schema, "$defs": SCHEMA["$defs"]})
        for example in schema["examples"]:
            assert validator.is_valid(example), f"{place}: {example!r}"


def test_every_object_refuses_unknown_keys_and_takes_those_with_x() -> None:
    for name, schema in [("", SCHEMA), *SCHEMA["$defs"].items()]:
        if "properties" in schema:
            assert schema["additionalProperties"] is False, name
            assert schema["patternProperties"] == {"^x-": True}, name


def test_passwords_are_drawn_as_passwords() -> None:
    passwords = [schema for place, schema in _properties(SCHEMA) if place.endswith("/password")]
    assert len(passwords) == 3
    assert all(schema["format"] == "password" for schema in passwords)


def test_a_document_with_every_key_is_valid() -> None:
    assert VALIDATOR.is_valid(COMPLETE)
    assert read_shape_of(COMPLETE)[1] == []


@pytest.mark.parametrize(
    ("valid", "document"),
    [
        (True, MINIMAL),
        (True, draft(**{"x-note": [1, {"deep": None}]})),
        (True, draft(campaign={**MINIMAL["campaign"], "x-team": 1})),
        (True, draft(recipients={"from": "a@b.de", "to": "a@b.de"})),
        (True, draft(recipients={"to": {"email": "a@b.de", "name": "A", "x-a": 1}})),
        (True, draft(entries={"inline": [{"values": {"a": 1.10, "b": True, "c": None}}]})),
        (True, draft(entries={"inline": [{"to": [], "x-row": 1}]})),
        (True, draft(server={"smtp": {"host": "a", "port": 587.0}})),
        (True, draft(server={"smtp": None})),
        (True, draft(template={"text": {"path": "a.txt"}, "html": "<p>"})),
        (True, draft(delivery={"headers": {"X-A": "b", "x-b": "c"}})),
        (True, draft(delivery={"not_before": "2026-12-01T08:00:00Z"})),
        (False, []),
        (False, {}),
        (False, draft(version="1.1")),
        (False, draft(version=1.0)),
        (False, draft(campaign={"id": "A", "name": "B"})),
        (False, draft(campaign={"id": "a\n", "name": "B"})),
        (False, draft(server={"smtp": {"host": "a", "port": "587"}})),
        (False, draft(server={"smtp": {"host": "a", "port": True}})),
        (False, draft(server={"smtp": {"host": "a", "port": 0}})),
        (False, draft(server={"smtp": {"host": "a", "timeout_seconds": 0}})),
        (False, draft(server={"smtp": {"host": "a", "timeout_seconds": True}})),
        (False, draft(recipients={"from_": "a@b.de"})),
        (False, draft(recipients={"to": [["a@b.de"]]})),
        (False, draft(attachments={"global_": []})),
        (False, draft(attachments={"global": [{"label": "no filter"}]})),
        (False, draft(entries={"inline": [{"cc": None}]})),
        (False, draft(entries={"inline": [{"values": {"a": [0, [1], 2]}}]})),
        (False, draft(entries={"inline": [{"unknown": 1}]})),
        (False, draft(entries={"source": {"path": "a\u0000b"}})),
        (False, draft(validation_policy={"header_injection": "warn"})),
        (False, draft(validation_policy={"header_injection": "ignore"})),
        (False, draft(delivery={"headers": {"a b": "c"}})),
        (False, draft(delivery={"headers": {"a": 1}})),
        (False, draft(delivery={"not_before": "2026-12-01T08:00:00"})),
        (False, draft(delivery={"not_before": "20261201T080000Z"})),
        (False, draft(delivery={"not_before": 1_800_000_000})),
        (False, draft(delivery={"send_window": {"from": "24:00", "to": "08:00"}})),
        (False, draft(delivery={"send_window": {"from": "T0800", "to": "08:00"}})),
        (False, draft(delivery={"send_window": {"from": "08:00\n", "to": "09:00"}})),
    ],
)
def test_schema_and_models_agree_on_chosen_documents(valid: bool, document: Any) -> None:
    campaign, issues = read_shape(json.dumps(document))
    assert (campaign is not None) == valid == (not issues)
    assert VALIDATOR.is_valid(document) == valid


def _places(document: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, inner in items:
        yield from _places(inner, (*path, key))


PLACES = [place for place in _places(COMPLETE) if place]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-10, 100_000)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text(max_size=8)
    | st.sampled_from(["1.0", "send", "starttls", "block", "all", "auto", ";", "08:00", "a@b.de"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5)
            | st.sampled_from(["email", "name", "path", "x-a", "from_", "global"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The complete document with one to three keys deleted, replaced, added or swapped."""
    document = copy.deepcopy(COMPLETE)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(PLACES))
        target = document
        try:
            for step in above:
                target = target[step]
            match draw(st.sampled_from(["delete", "replace", "replace", "add"])):
                case "delete":
                    del target[last]
                case "replace":
                    target[last] = draw(values)
                case _ if isinstance(target, dict):
                    target[draw(st.text(max_size=6) | st.just("x-key"))] = draw(values)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return document


@given(mutated())
def test_schema_and_models_agree_on_mutated_documents(document: Any) -> None:
    campaign, issues = read_shape(json.dumps(document))
    assert (campaign is None) == bool(issues)
    assert (campaign is not None) == VALIDATOR.is_valid(document), issues


def test_what_the_schema_says_of_a_place() -> None:
    assert keys_at(["server", "smtp"])[:3] == ["host", "security", "port"]
    assert keys_at(["entries", "inline", 70_000, "to", 3]) == ["email", "name"]
    assert keys_at(["nowhere", 3, "x"]) == []
    assert [schema["type"] for schema in alternatives(["template", "text"])] == [
        "string",
        "object",
        "null",
    ]
