from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from app.db.base import JsonDocument, UtcDateTime, dump_document

SQLITE, POSTGRES = sqlite.dialect(), postgresql.dialect()
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=15,
)


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRES])
def test_a_naive_time_is_refused(dialect: object) -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        UtcDateTime().process_bind_param(datetime(2026, 1, 1), dialect)  # type: ignore[arg-type]  # noqa: DTZ001


def test_times_are_kept_in_utc() -> None:
    column = UtcDateTime()
    assert column.process_bind_param(NOON, SQLITE) == datetime(2026, 1, 1, 10)  # noqa: DTZ001
    kept = column.process_bind_param(NOON, POSTGRES)
    assert kept == NOON
    assert kept is not None
    assert kept.tzinfo is UTC
    read = column.process_result_value(datetime(2026, 1, 1, 10), SQLITE)  # noqa: DTZ001
    assert read == NOON
    assert column.process_bind_param(None, SQLITE) is None
    assert column.process_result_value(None, SQLITE) is None


def test_a_document_keeps_order_and_the_spelling_of_numbers() -> None:
    text = '{"z":1.10,"a":[1E+2,123456789012345678901234567890],"ä":"\\u0000"}'
    value = JsonDocument().process_result_value(text, SQLITE)
    assert value["z"] == Decimal("1.10")
    assert JsonDocument().process_bind_param(value, SQLITE) == text


@given(DOCUMENTS)
def test_documents_come_back_equal(value: object) -> None:
    column = JsonDocument()
    text = dump_document(value)
    assert column.process_result_value(text, SQLITE) == value
    json.loads(text)


@pytest.mark.parametrize("value", [Decimal("NaN"), {"a": object()}, {"a": b"x"}])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        dump_document(value)
