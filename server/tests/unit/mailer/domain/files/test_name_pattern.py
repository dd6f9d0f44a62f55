from __future__ import annotations

import fnmatch
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.files.name_pattern import NamePattern, is_hidden, nfc, tokens
from app.mailer.domain.templates.placeholders import escape_glob

#: Few letters, so that random names and patterns meet; with a letter in two Unicode spellings.
NAMES = st.text(alphabet="ab_-.1*?[]!é\u0301e ", max_size=8).filter(
    lambda text: not is_hidden(unicodedata.normalize("NFC", text))
)


def matches(pattern: str, name: str) -> bool:
    return NamePattern.parse(pattern).matches(nfc(name))


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("4711_*.pdf", "4711_Bill.pdf", True),
        ("4711_*.pdf", "14711_Bill.pdf", False),
        ("4711_*.pdf", "4711_Bill.PDF", False),
        ("*.pdf", ".pdf", True),
        ("a*a", "a", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("[Bb]ill", "bill", True),
        ("[!b]ill", "bill", False),
        ("[0-9][0-9]", "47", True),
        ("[]]", "]", True),
        ("[!]]", "]", False),
        ("[ab", "[ab", True),
        ("a[*]b", "a*b", True),
        ("a[*]b", "axb", False),
        ("Mu\u0308ller*", "Müller.pdf", True),
        ("Müller*", "Mu\u0308ller.pdf", True),
        ("*b*a*", "aabb", False),
        ("**", "", True),
        ("", "", True),
    ],
)
def test_table(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@given(pattern=NAMES, name=NAMES)
def test_is_fnmatchcase_on_composed_names(pattern: str, name: str) -> None:
    composed = unicodedata.normalize("NFC", name)
    expected = fnmatch.fnmatchcase(composed, unicodedata.normalize("NFC", pattern))
    assert matches(pattern, name) is expected


@given(value=st.text(min_size=1), other=st.text())
def test_an_escaped_value_matches_only_itself(value: str, other: str) -> None:
    pattern = escape_glob(value)
    assert matches(pattern, value)
    assert matches(pattern, other) is (nfc(other) == nfc(value))


def test_no_pattern_takes_exponential_time() -> None:
    name = "a" * 250
    begun = time.process_time()
    assert not matches("*a" * 60 + "*b", name)
    assert not matches("*[ab]" * 60 + "*c", name)
    assert time.process_time() - begun < 1


def test_plain_texts_of_a_pattern() -> None:
    pattern = NamePattern.parse("ab?cd*ef[xy]gh*ij")
    assert (pattern.prefix, pattern.suffix) == ("ab", "ij")
    assert pattern.inner_runs() == ["cd", "ef", "gh"]
    assert NamePattern.parse("ab?cd").inner_runs() == []
    assert NamePattern.parse("a[*]b").literal == "a*b"
    assert NamePattern.parse("a*b").literal is None


def test_tokens_are_letters_and_digits() -> None:
    assert list(tokens("Bill_4711-Müller (2).pdf")) == ["Bill", "4711", "Müller", "2", "pdf"]


@pytest.mark.parametrize("name", [".DS_Store", "._Bill.pdf", "~$Bill.docx", "Thumbs.db"])
def test_hidden_names_must_be_spelled_out(name: str) -> None:
    assert is_hidden(name)
    assert not NamePattern.parse("*").spells(name)
    assert NamePattern.parse(name).spells(name)
