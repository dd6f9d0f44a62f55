from __future__ import annotations

import time as clock
from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.entries.fields import KINDS, BadCell, pattern_fault, read_cell, truth, typed


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        ("string", "00123", "00123"),
        ("string", "  a\nb ", "a\nb"),
        ("string", None, ""),
        ("string", 4711.0, "4711"),
        ("string", 4711, "4711"),
        ("string", 0.1, "0.1"),
        ("decimal", 19.99 * 3, "59.97"),
        ("decimal", 0.1 + 0.2, "0.3"),
        ("string", 100.00000000000001, "100"),
        ("string", 123456789012.345, "123456789012.345"),
        ("string", "#1 of 3", "#1 of 3"),
        ("string", "1E5", "1E5"),
        ("string", 1e-7, "0.0000001"),
        ("string", Decimal("1.10"), "1.10"),
        ("string", Decimal("1E+3"), "1000"),
        ("string", True, "true"),
        ("string", date(2026, 12, 24), "2026-12-24"),
        ("string", datetime.fromisoformat("2026-12-24"), "2026-12-24"),
        ("string", datetime.fromisoformat("2026-12-24 13:05"), "2026-12-24 13:05:00"),
        ("string", time(13, 5), "13:05:00"),
        ("secret", " pa ss ", "pa ss"),
        ("integer", "007", "007"),
        ("integer", "-12", "-12"),
        ("integer", 4711.0, "4711"),
        ("integer", Decimal("4711.00"), "4711"),
        ("integer", "", ""),
        ("decimal", "1234.56", "1234.56"),
        ("decimal", "1.234,56", "1.234,56"),
        ("decimal", "1234,56", "1234,56"),
        ("decimal", "1.234", "1.234"),
        ("decimal", "1.234.567", "1.234.567"),
        ("decimal", "1.10", "1.10"),
        ("decimal", -2.5, "-2.5"),
        ("date", "2026-12-24", "2026-12-24"),
        ("date", "24.12.2026", "24.12.2026"),
        ("date", "29.2.2028", "29.2.2028"),
        ("date", date(2026, 12, 24), "2026-12-24"),
        ("boolean", "JA", "JA"),
        ("boolean", "", ""),
        ("boolean", 1.0, "1"),
        ("boolean", False, "false"),
        ("email", "Ada <a@b.de>", "Ada <a@b.de>"),
    ],
)
def test_reads(kind: str, raw: object, expected: str) -> None:
    assert read_cell(kind, raw) == expected


@pytest.mark.parametrize(
    ("kind", "raw", "says"),
    [
        ("integer", "12a", "“12a” is not a whole number"),
        ("integer", "1.234", "“1.234”"),
        ("integer", "1.5", "“1.5”"),
        ("integer", 1.5, "“1.5”"),
        ("integer", Decimal("1.10"), "“1.10”"),
        ("integer", "١٢", "whole number"),
        ("integer", "1" * 1001, "…"),
        ("decimal", "1,234.56", "“1,234.56” is not a number"),
        ("decimal", "12.34,5", "“12.34,5”"),
        ("decimal", "1e5", "“1e5”"),
        ("decimal", "NaN", "“NaN”"),
        ("decimal", float("nan"), "number without end"),
        ("decimal", Decimal("Infinity"), "number without end"),
        ("string", Decimal("1E+999999999"), "too long"),
        ("string", Decimal("1E-999999999"), "decimal places"),
        pytest.param("string", 10**5000, "too long", id="digits"),
        ("string", 1234567890123456.0, "15 digits"),
        ("date", "2026-02-30", "“2026-02-30” is not a date"),
        ("date", "24.12.26", "24.12.26"),
        ("date", "12/24/2026", "12/24/2026"),
        ("date", 46380, "46380"),
        ("date", datetime.fromisoformat("2026-12-24 13:00"), "13:00"),
        ("boolean", "vielleicht", "“vielleicht” is not yes or no"),
        ("email", "nobody", "@-sign"),
        ("string", "#N/A", "“#N/A” is an error of a spreadsheet"),
        ("string", "#DIV/0!", "error of a spreadsheet"),
        ("string", "#WERT!", "error of a spreadsheet"),
        ("string", "#NAME?", "error of a spreadsheet"),
        ("string", "######", "error of a spreadsheet"),
        ("string", "1,23457E+11", "“1,23457E+11” is a number that a spreadsheet has cut short"),
        ("secret", "1.23E+05", "The secret value is a number that a spreadsheet has cut short"),
        ("string", "M\xc3\xbcller", "wrong encoding"),
        ("email", "M\ufffdller <m@b.de>", "wrong encoding"),
        ("secret", date(1990, 5, 24), "holds a date or time"),
        ("string", [1], "neither text"),
        ("string", {"a": 1}, "neither text"),
    ],
)
def test_refuses_with_the_value(kind: str, raw: object, says: str) -> None:
    with pytest.raises(BadCell) as caught:
        read_cell(kind, raw)
    assert says in str(caught.value)


def test_pattern_must_match_all_of_a_filled_cell() -> None:
    assert read_cell("string", "AB12", r"[A-Z]{2}\d+") == "AB12"
    assert read_cell("string", "", r"[A-Z]{2}\d+") == ""
    with pytest.raises(BadCell, match="“AB12x” does not match"):
        read_cell("string", "AB12x", r"[A-Z]{2}\d+")
    with pytest.raises(BadCell, match="not a regular expression"):
        read_cell("string", "x", "(")


@pytest.mark.parametrize("pattern", ["a)|(b", "(?=a)a", r"(a)\1", "((a{100}){100}){100}"])
def test_a_pattern_that_is_none_or_could_take_for_ever_is_refused(pattern: str) -> None:
    assert pattern_fault(pattern)
    with pytest.raises(BadCell, match="not a regular expression"):
        read_cell("string", "a", pattern)


def test_a_careless_pattern_takes_no_time() -> None:
    started = clock.monotonic()
    with pytest.raises(BadCell, match="does not match"):
        read_cell("string", "a" * 5_000 + "b", "(a+)+")
    assert clock.monotonic() - started < 2


def test_a_secret_never_shows() -> None:
    with pytest.raises(BadCell) as caught:
        read_cell("secret", "hunter2", r"\d+")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(word, True) for word in ("true", "YES", "ja", "1", "x", "Wahr", True, 1, 1.0)]
    + [(word, False) for word in ("false", "no", "Nein", "0", "falsch", "", " ", None, False, 0)],
)
def test_truth(raw: object, expected: bool) -> None:
    assert truth(raw) is expected


def test_truth_refuses_other_words() -> None:
    with pytest.raises(BadCell, match="“maybe”"):
        truth("maybe")


def test_typed_values_compare_as_what_they_are_and_show_as_written() -> None:
    number = typed("integer", "007")
    assert number == 7
    assert str(number) == f"{number!s}" == "007"
    amount = typed("decimal", "1.234,56")
    assert amount == Decimal("1234.56")
    assert str(amount) == "1.234,56"
    assert typed("decimal", "1.234.567") == 1234567
    assert str(typed("decimal", "1.10")) == "1.10"
    yes, no = typed("boolean", "ja"), typed("boolean", "")
    assert yes
    assert not no
    assert (str(yes), str(no)) == ("ja", "")
    assert typed("date", "24.12.2026") == "24.12.2026"
    assert typed("integer", "") == ""


@given(st.sampled_from(KINDS), st.text(max_size=30) | st.integers() | st.decimals() | st.floats())
def test_what_is_read_can_be_read_again_and_typed(kind: str, raw: object) -> None:
    try:
        text = read_cell(kind, raw)
    except BadCell:
        return
    assert read_cell(kind, text) == text
    assert str(typed(kind, text)) == text
