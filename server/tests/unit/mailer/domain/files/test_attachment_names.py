from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.files.attachment_names import attachment_names, safe_filename


def test_the_names_on_disk_are_kept() -> None:
    assert attachment_names([(None, "a/b/Müller.pdf"), (None, "x")]) == ("Müller.pdf", "x")


def test_equal_names_are_made_distinct_whatever_their_case() -> None:
    wanted = [("Bill.pdf", "1.pdf"), ("Bill.pdf", "2.pdf"), (None, "x/BILL.pdf")]
    assert attachment_names(wanted) == ("Bill.pdf", "Bill (2).pdf", "BILL (3).pdf")
    taken = [("Bill (2).pdf", "1.pdf"), ("Bill.pdf", "2.pdf"), ("Bill.pdf", "3.pdf")]
    assert attachment_names(taken) == ("Bill (2).pdf", "Bill.pdf", "Bill (3).pdf")


@pytest.mark.parametrize(
    ("given_name", "path", "expected"),
    [
        ("Bill 4711", "x.pdf", "Bill 4711.pdf"),
        ("Bill 4711.pdf", "x.pdf", "Bill 4711.pdf"),
        ("Bill.Pdf", "x.pdf", "Bill.Pdf"),
        ("Bill No. 4711", "x.pdf", "Bill No. 4711.pdf"),
        ("Bill 2026.11", "x.pdf", "Bill 2026.11.pdf"),
        ("Dr.Meier", "x.PDF", "Dr.Meier.PDF"),
        ("Bill.", "x.pdf", "Bill.pdf"),
        ("Bill.txt", "x.pdf", "Bill.txt"),
        ("Bill", "x", "Bill"),
        ("Bill", ".hidden", "Bill"),
        ("  ", "a/x.pdf", "x.pdf"),
    ],
)
def test_a_given_name_gets_the_ending_of_its_file(
    given_name: str, path: str, expected: str
) -> None:
    assert attachment_names([(given_name, path)]) == (expected,)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ('a/b\\c:d*e?f"g<h>i|j.pdf', "a_b_c_d_e_f_g_h_i_j.pdf"),
        ("a\r\nb\0c\x7fd\x85e.pdf", "a__b_c_d_e.pdf"),
        ("../../etc/passwd", "___.._etc_passwd"),
        (".profile", "_profile"),
        ("name. .", "name___"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("COM1.pdf", "_COM1.pdf"),
        ("COM10.pdf", "COM10.pdf"),
        ("bill\u202efdp.exe", "bill_fdp.exe"),
        ("lone\udcff.pdf", "lone_.pdf"),
        ("", "_"),
        ("Mu\u0308ller.pdf", "Müller.pdf"),
        ("👩‍💻.pdf", "👩‍💻.pdf"),
    ],
)
def test_unsafe_characters_are_replaced(name: str, expected: str) -> None:
    assert safe_filename(name) == expected


def test_a_long_name_keeps_its_ending() -> None:
    name = safe_filename("ü" * 300 + ".pdf")
    assert name.endswith("ü.pdf")
    assert len(name.encode()) <= 240
    assert safe_filename("x" * 239 + " y" * 9) == "x" * 239


@given(st.lists(st.tuples(st.none() | st.text(), st.text(min_size=1)), max_size=6))
def test_names_are_always_safe_and_distinct(wanted: list[tuple[str | None, str]]) -> None:
    names = attachment_names(wanted)
    assert len({name.casefold() for name in names}) == len(wanted)
    for name in names:
        assert not set(name) & set('/\\:*?"<>|\r\n\0')
        assert name
        assert not name.startswith(".")
        assert not name.endswith((".", " "))
        assert len(name.encode()) <= 255


@pytest.mark.parametrize("piece", [". ", ".", " ", ".a", ".1", "_"])
def test_no_name_takes_long(piece: str) -> None:
    begin = time.process_time()
    assert len(safe_filename(piece * 100_000 + "x").encode()) <= 240
    assert time.process_time() - begin < 1
