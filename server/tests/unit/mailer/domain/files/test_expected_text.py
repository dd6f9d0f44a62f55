from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.codes import CODES
from app.mailer.domain.files.attachments import RenderedRule
from app.mailer.domain.files.expected_text import check_text, contains_text, is_pdf
from app.mailer.domain.issues import Severity


@pytest.mark.parametrize(
    ("text", "expected", "holds"),
    [
        ("Bill No. 4711 for Ada Lovelace", "Ada Lovelace", True),
        ("Ada\r\nLovelace", "Ada Lovelace", True),
        ("A d a  Love lace", "Ada Lovelace", True),
        ("AdaLovelace", "Ada  Lovelace", True),
        ("ada lovelace", "Ada Lovelace", False),
        ("Ada Byron", "Ada Lovelace", False),
        ("o\ufb03ce", "office", True),
        ("Mu\u0308ller", "Müller", True),
        ("Mül\u00adler", "Müller", True),
        ("Mül\ufffe\r\nler", "Müller", True),
        ("Mayer\x02\r\nSchulz", "Mayer-Schulz", True),
        ("Rechnungsnummer", "Rechnung", True),
        ("No. 4711.", "4711", True),
        ("No. 47 11", "4711", True),
        ("1 4711 2", "4711", True),
        ("No. 47110", "4711", False),
        ("No. 24711", "4711", False),
        ("24711 and 4711", "4711", True),
        ("x4711y", "4711", True),
        ("anything", "", False),
        ("anything", " \u00ad\n", False),
    ],
)
def test_table(text: str, expected: str, holds: bool) -> None:
    assert contains_text(text, expected) is holds


@given(st.text(), st.text(alphabet="aé1 ß", min_size=1).filter(str.strip), st.text())
def test_a_text_between_blanks_is_found(before: str, expected: str, after: str) -> None:
    assert contains_text(f"{before.rstrip()} \n{expected}\n {after.lstrip()}", expected)


RULE = RenderedRule("Bill", "/entries/0", "", "*", expect_text=("4711", "Ada"))


def policy(code: str) -> Severity:
    return CODES[code].severity


def test_only_what_is_absent_is_told() -> None:
    assert check_text(RULE, "a.pdf", "4711 Ada", policy) == ()
    (issue,) = check_text(RULE, "a.pdf", "4712 Ada", policy)
    assert (issue.code, issue.severity) == ("unexpected-content", Severity.BLOCK)
    assert issue.pointer == "/entries/0"
    assert '"4711"' in issue.message
    assert '"a.pdf"' in issue.message
    assert "Ada" not in issue.message


def test_a_pdf_without_text_is_not_as_expected() -> None:
    (issue,) = check_text(RULE, "a.pdf", ValueError("the PDF wants a password"), policy)
    assert issue.code == "unexpected-content"
    assert "wants a password" in issue.message


def test_secrets_are_not_told() -> None:
    rule = replace(RULE, expect_text=("s3cret",), confidential=True)
    (issue,) = check_text(rule, "s3cret.pdf", "", policy)
    assert "s3cret" not in issue.message


def test_pdf_by_its_ending() -> None:
    assert is_pdf("a/B.PDF")
    assert not is_pdf("a.pdf.txt")
