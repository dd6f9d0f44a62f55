"""What differs between two files."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.campaign.diff import Kind, config_changes, entry_changes

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab/~", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner),
    max_leaves=12,
)
files = st.dictionaries(st.sampled_from(["a", "b", "c/d", "e~f"]), values, max_size=4)


def found(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    changes = config_changes(before, after)
    return [(each.pointer, each.kind.value, each.before, each.after) for each in changes]


def test_each_place_is_named_as_deep_as_it_goes() -> None:
    before = {"a": {"b": 1, "c": [1, {"x": 1}]}, "gone": 1}
    after = {"a": {"b": 2, "c": [1, {"x": 1, "y/z": 2}, 3]}, "new": None}
    assert found(before, after) == [
        ("/a/b", "changed", 1, 2),
        ("/a/c/1/y~1z", "added", None, 2),
        ("/a/c/2", "added", None, 3),
        ("/new", "added", None, None),
        ("/gone", "removed", 1, None),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, True), (0, False), (1, "1"), (Decimal("1.1"), Decimal("1.10")), (None, ""), ({}, [])],
)
def test_what_python_takes_for_equal_is_not(before: object, after: object) -> None:
    assert [kind for _, kind, *_ in found({"a": before}, {"a": after})] == ["changed"]


@given(files)
def test_a_file_does_not_differ_from_itself(file: dict[str, Any]) -> None:
    assert found(file, file) == []


@given(files, files)
def test_the_other_way_round_it_is_the_opposite(one: dict[str, Any], two: dict[str, Any]) -> None:
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    there = {(p, k, repr(b), repr(a)) for p, k, b, a in found(one, two)}
    back = {(p, opposite[k], repr(a), repr(b)) for p, k, b, a in found(two, one)}
    assert there == back
    assert (there == set()) == (repr_sorted(one) == repr_sorted(two))


def repr_sorted(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{k!r}:{repr_sorted(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(repr_sorted, value)) + "]"
    return repr(value)


def inline(*entries: Any) -> dict[str, Any]:
    return {"entries": {"inline": list(entries)}}


def test_recipients_are_known_by_their_ids() -> None:
    before = inline({"id": "a", "to": "x"}, {"id": "b"}, {"id": "c"})
    after = inline({"id": "c"}, {"id": "a", "to": "y"}, {"id": "d"})
    assert entry_changes(before, after) == {
        "a": Kind.CHANGED,
        "b": Kind.REMOVED,
        "d": Kind.ADDED,
    }
    assert found(before, after) == []


def test_recipients_without_an_id_by_what_they_are() -> None:
    changes = entry_changes(inline({"to": "x"}, {"to": "y"}), inline({"to": "y"}, {"to": "z"}))
    assert sorted(changes.values()) == [Kind.ADDED, Kind.REMOVED]


@pytest.mark.parametrize("entries", [None, 7, {"inline": "x"}, {"inline": [7, None, {"id": 7}]}])
def test_a_draft_may_hold_anything(entries: Any) -> None:
    assert entry_changes({"entries": entries}, {"entries": entries}) == {}
