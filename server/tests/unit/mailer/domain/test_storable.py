from __future__ import annotations

import json
from uuid import UUID

import pytest

from app.mailer.domain.storable import clean_text, storable


@pytest.mark.parametrize(
    ("text", "kept"),
    [("", ""), ("Zoë 😀\t", "Zoë 😀\t"), ("a\0b", "a\ufffdb"), ("\ud800\udfff", "\ufffd\ufffd")],
)
def test_clean_text(text: str, kept: str) -> None:
    assert clean_text(text) == kept
    kept.encode()


def test_all_of_it_is_json_at_any_depth() -> None:
    given = {"a\0": ["b\ud800", (1, None, True), {"c": {2}}], 5: 1.5, "id": UUID(int=1)}
    kept = storable(given)
    assert json.loads(json.dumps(kept, allow_nan=False)) == {
        "a\ufffd": ["b\ufffd", [1, None, True], {"c": [2]}],
        "5": 1.5,
        "id": str(UUID(int=1)),
    }


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_becomes_text(number: float) -> None:
    assert storable([number]) == [str(number)]
