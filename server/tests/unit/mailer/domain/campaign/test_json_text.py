from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.campaign.json_text import BrokenJson, escaped, parse_json, printable
from app.mailer.domain.issues import Issue


def broken(text: str | bytes) -> Issue:
    with pytest.raises(BrokenJson) as caught:
        parse_json(text)
    return caught.value.issue


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "The file is empty.", "Choose"),
        (" \n\t", "The file is empty.", "Choose"),
        ("{", "Line 1, column 2: the file ends too early.", "Add the missing } or ]"),
        ('{"a": [1', "Line 1, column 9: the file ends too early.", "Add the missing } or ]"),
        ('{\n "a": 1,\n}', "Line 3, column 1: a comma stands before", "Delete that comma."),
        ('{"a": [1, ]}', "Line 1, column 11: a comma stands before", "Delete that comma."),
        ("{'a': 1}", "Line 1, column 2: ' is not a quote", "straight quotes"),
        ('{"a": “x”}', "Line 1, column 7: “ is not a quote", "straight quotes"),
        ('{"a": 1 // why\n}', "Line 1, column 9: JSON has no comments.", "x-note"),
        ('# hello\n{"a": 1}', "Line 1, column 1: JSON has no comments.", "x-note"),
        ('{"a": True}', "Line 1, column 7: True is not JSON.", "true, false or null"),
        ('{"a": None}', "Line 1, column 7: None is not JSON.", "true, false or null"),
        ('{"a" 1}', "Line 1, column 6: a colon is expected", '"key": value'),
        ('{"a": 1 "b": 2}', "Line 1, column 9: a comma or a closing bracket", "comma between"),
        ("{a: 1}", "Line 1, column 2: a key in double quotes is expected", '"key": value'),
        ('{"a": x}', "Line 1, column 7: a value is expected, but there is “x”.", "double quotes"),
        ('{"a": "x\ny"}', "Line 1, column 9: a line break or another control", r"\n"),
        (r'{"a": "C:\Users"}', "Line 1, column 10: a backslash", "use / instead"),
        ('{"a": "x', "Line 1, column 7: a text begins here and does not end.", "closing double"),
        ('{"a": 1}\n{"b": 2}', "Line 2, column 1: the file should end here", "Delete"),
        ('{"NaN": "NaN",\n"a": NaN}', "Line 2, column 6: NaN is not a number", "null"),
        ('{"a": -Infinity}', "Line 1, column 7: -Infinity is not a number", "null"),
        ('{"a": 1e400}', "Line 1, column 7: the number 1e400 is too large", "double quotes"),
        ('{"a": 1e' + "9" * 30 + "}", "Line 1, column 7: the number 1e999", "double quotes"),
        ('{"a": 0.' + "1" * 2000 + "}", "Line 1, column 7: the number 0.111", "double quotes"),
        ('{"a":\n ' + "1" * 5000 + "}", "Line 2, column 2: the number 1111", "double quotes"),
    ],
)
def test_a_fault_of_syntax_says_line_column_and_remedy(text: str, message: str, hint: str) -> None:
    issue = broken(text)
    assert issue.code == "invalid-json"
    assert issue.message.startswith(message)
    assert hint in issue.hint
    assert len(issue.message) < 150


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_absurd_nesting_is_an_issue(bracket: str) -> None:
    issue = broken(bracket * 200_000)
    assert issue.code == "invalid-json"
    assert "too deeply" in issue.message


def test_bytes_that_are_not_utf8() -> None:
    issue = broken('{"name":\n"Müller"}'.encode("cp1252"))
    assert issue.code == "wrong-encoding"
    assert issue.message == "The file is not UTF-8: line 2, byte 12 of the file is 0xFC."
    assert "UTF-8" in issue.hint


def test_utf16_is_named() -> None:
    assert "It looks like UTF-16." in broken('{"ä": 1}'.encode("utf-16")).message


def test_numbers_keep_what_they_say() -> None:
    raw, _ = parse_json('[1.10, 1e2, 7, -0.0, "1.10"]')
    assert raw == [Decimal("1.10"), Decimal("100"), 7, Decimal("0"), "1.10"]
    assert [str(number) for number in raw[:2]] == ["1.10", "1E+2"]
    assert isinstance(raw[2], int)


def test_keys_that_stand_twice_are_found_wherever_they_are() -> None:
    raw, issues = parse_json('{"a": [{"b/c": 1, "b/c": 2, "b/c": 3}], "d": 1, "d": {"e": 0}}')
    assert raw == {"a": [{"b/c": 3}], "d": {"e": 0}}
    assert {(issue.code, issue.pointer) for issue in issues} == {
        ("duplicate-key", "/d"),
        ("duplicate-key", "/a/0/b~1c"),
    }
    assert parse_json('{"a": {"a": 1}}')[1] == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_whatever_is_json_is_read_as_what_it_is(value: Any) -> None:
    assert parse_json(json.dumps(value)) == (value, [])
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == (value, [])


def test_pointers_and_shown_texts() -> None:
    assert escaped("a/b~c") == "a~1b~0c"
    assert escaped("a" * 200) == "a" * 200
    assert escaped("a\nb") == r"a\nb"
    assert printable("x" * 61) == "x" * 59 + "…"
    assert printable("a\u202eb") == r"a\u202eb"
