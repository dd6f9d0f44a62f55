from __future__ import annotations

import base64
import quopri
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.mime.body import base64_lines, base64_size, encode_body, normalised_body

from ..naughty import body_text


def decoded(encoding: str, data: bytes) -> str:
    if encoding == "quoted-printable":
        data = quopri.decodestring(data)
    elif encoding == "base64":
        data = base64.b64decode(data)
    return data.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("text", "encoding", "data"),
    [
        ("", "7bit", b""),
        ("Hello", "7bit", b"Hello\r\n"),
        ("a\r\nb\rc\nd\n", "7bit", b"a\r\nb\r\nc\r\nd\r\n"),
        ("x" * 76, "7bit", b"x" * 76 + b"\r\n"),
        ("x" * 77, "quoted-printable", b"x" * 75 + b"=\r\nxx\r\n"),
        ("Grüße an alle", "quoted-printable", b"Gr=C3=BC=C3=9Fe an alle\r\n"),
        ("привет", "base64", b"0L/RgNC40LLQtdGCDQo=\r\n"),
        ("blank \nend", "quoted-printable", b"blank=20\r\nend\r\n"),
        ("tab\t\nend", "quoted-printable", b"tab=09\r\nend\r\n"),
        ("From me\nto you", "quoted-printable", b"=46rom me\r\nto you\r\n"),
        ("a\n.\nb", "quoted-printable", b"a\r\n=2E\r\nb\r\n"),
        ("a\n..b", "quoted-printable", b"a\r\n=2E.b\r\n"),
        ("boundary --=_x", "quoted-printable", b"boundary --=3D_x\r\n"),
        ("nul\x00 and esc\x1b in it", "quoted-printable", b"nul=00 and esc=1B in it\r\n"),
        (
            "next\x85line\u2028separator",
            "quoted-printable",
            b"next=C2=85line=E2=80=A8separator\r\n",
        ),
    ],
)
def test_bytes_of_a_body(text: str, encoding: str, data: bytes) -> None:
    assert encode_body(text) == (encoding, data)


@given(body_text)
def test_a_body_reads_back_and_nothing_on_the_way_can_change_it(text: str) -> None:
    encoding, data = encode_body(text)

    assert decoded(encoding, data) == normalised_body(text)
    assert data.isascii()
    assert b"\x00" not in data
    assert data == b"" or data.endswith(b"\r\n")
    assert b"=_" not in data
    assert re.search(rb"\r(?!\n)|(?<!\r)\n", data) is None
    for line in data.split(b"\r\n"):
        assert len(line) <= 76
        assert not line.startswith((b".", b"From "))
        assert not line.endswith((b" ", b"\t"))


def test_a_trailing_blank_at_the_limit_does_not_make_the_line_too_long() -> None:
    for width in range(70, 80):
        _, data = encode_body("x" * width + " \nend")
        assert max(map(len, data.split(b"\r\n"))) <= 76
        assert decoded("quoted-printable", data) == "x" * width + " \nend\n"


def test_wherever_a_line_is_broken_no_dot_or_from_begins_the_next() -> None:
    for nasty in (".", "From ", "=.", "ü.", " ."):
        for width in range(60, 80):
            text = nasty + "x" * width + nasty * 40 + "\n" + nasty + "y" * width + nasty
            _, data = encode_body(text)
            assert decoded("quoted-printable", data) == text + "\n"
            for line in data.split(b"\r\n"):
                assert len(line) <= 76
                assert not line.startswith((b".", b"From "))


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lone surrogate") as caught:
        encode_body("price \ud83d")
    assert "U+D83D" in str(caught.value)
    assert not isinstance(caught.value, UnicodeError)


@given(st.binary(max_size=400))
def test_base64_lines(data: bytes) -> None:
    lines = base64_lines(data)
    assert base64.b64decode(lines) == data
    assert len(lines) == base64_size(len(data))
    assert all(len(line) == 76 for line in lines.split(b"\r\n")[:-1])
    assert not lines.endswith(b"\n")
