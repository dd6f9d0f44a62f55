from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.audit_chain import (
    FIELDS,
    Break,
    Head,
    Link,
    Walk,
    canonical,
    content_hash,
    genesis,
    link,
    moment,
)

TENANT = "00000000-0000-4000-8000-000000000001"
ENTRY: dict[str, Any] = {
    "id": "00000000-0000-4000-8000-000000000002",
    "tenant_id": TENANT,
    "sequence": 1,
    "at": "2026-03-01T12:00:00.000000Z",
    "actor_kind": "user",
    "actor_id": "u-1",
    "actor_name": "Ada Lövelace",
    "address": None,
    "action": "campaign.queued",
    "object_type": "campaign",
    "object_id": "c-1",
    "details": {"b": [1, 2.5, True, None], "a": "\u2028\U0001f600\n"},
    "before": None,
    "after": {"state": "queued"},
}


def test_the_form_never_changes() -> None:
    """Heads are noted outside of the database, so these values are for good."""
    assert genesis(TENANT) == "11e594f481958c10e3015d0bf0447a22f068a8a647f475df15ce2c7ab4b8f3f1"
    assert canonical(ENTRY["details"]) == r'{"a":"\u2028\ud83d\ude00\n","b":[1e0,25e-1,true,null]}'
    content = content_hash(ENTRY)
    assert content == "050bbbca8cea3b7b54a7d316cb391675da4e0a0c366e519a536e3ee4e5c52e9e"
    assert (
        link(genesis(TENANT), content)
        == "be9c8554a1bd3d22e2438c7293a6f07bd18e05110ce17b5fd3d8e210e214952d"
    )


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_counts(name: str) -> None:
    assert content_hash({**ENTRY, name: "other"}) != content_hash(ENTRY)
    with pytest.raises(KeyError):
        content_hash({key: value for key, value in ENTRY.items() if key != name})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0e0"),
        (-0.0, "0e0"),
        (1500, "15e2"),
        (1500.0, "15e2"),
        (Decimal("1500.00"), "15e2"),
        (-0.5, "-5e-1"),
        (1e300, "1e300"),
        (10**300, "1e300"),
        (5e-324, "5e-324"),
        (2**70, "1180591620717411303424e0"),
        (True, "true"),
        ("1e0", '"1e0"'),
    ],
)
def test_numbers_count_by_their_value(value: object, text: str) -> None:
    assert canonical(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"", object()])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical([value])


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@given(documents)
def test_spelling_and_order_do_not_count(value: Any) -> None:
    again = json.loads(json.dumps(value))
    exact = json.loads(json.dumps(value), parse_float=Decimal)
    assert canonical(again) == canonical(exact) == canonical(value)
    assert canonical(_reversed(value)) == canonical(value)


@given(documents, documents)
def test_different_values_have_different_texts(one: Any, other: Any) -> None:
    if canonical(one) == canonical(other):
        assert one == other


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


def test_times_are_utc_to_the_microsecond() -> None:
    at = datetime(2026, 3, 1, 13, 0, 0, 7, tzinfo=timezone(timedelta(hours=1)))
    assert moment(at) == "2026-03-01T12:00:00.000007Z"
    assert moment(at.astimezone(UTC).replace(tzinfo=None)) == moment(at)
    assert moment(datetime(987, 1, 1, tzinfo=UTC)) == "0987-01-01T00:00:00.000000Z"


def test_a_head_is_written_and_read() -> None:
    head = Head(12, "a" * 64)
    assert Head.parse(str(head)) == head
    for wrong in ("", "0:" + "a" * 64, "12", "12:" + "A" * 64, "12:" + "a" * 63, "-1:" + "a" * 64):
        with pytest.raises(ValueError, match="64 hexadecimal"):
            Head.parse(wrong)


def chain(length: int) -> list[Link]:
    found: list[Link] = []
    previous = genesis(TENANT)
    for sequence in range(1, length + 1):
        content = content_hash({**ENTRY, "sequence": sequence})
        found.append(Link(sequence, previous, content, link(previous, content)))
        previous = found[-1].hash
    return found


def walked(links: list[Link], begin: Head | None = None) -> Break | Head:
    walk = Walk(TENANT, begin)
    for each in links:
        if (broken := walk.step(each)) is not None:
            return broken
    return walk.head


def test_a_whole_chain_is_walked_from_anywhere() -> None:
    links = chain(5)
    assert walked(links) == Head(5, links[-1].hash)
    assert walked(links[3:], Head(3, links[2].hash)) == Head(5, links[-1].hash)


def test_a_break_is_named() -> None:
    links = chain(5)
    assert walked([*links[:2], *links[3:]]) == Break(3, "it is missing")
    assert walked([*links[:2], links[1]]) == Break(2, "its number is no entry's, or is used twice")
    other = Link(3, links[2].previous_hash, "b" * 64, links[2].hash)
    assert walked([*links[:2], other]) == Break(3, "its content is not what was recorded")
    forged = Link(3, links[2].previous_hash, "b" * 64, link(links[2].previous_hash, "b" * 64))
    assert walked([*links[:2], forged, links[3]]) == Break(
        4, "it does not follow the entry before it"
    )
    assert walked(links[3:], Head(3, "c" * 64)) == Break(
        4, "it does not follow the entry before it"
    )
