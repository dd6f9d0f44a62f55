from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.utils import getaddresses, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.mailbox import Mailbox
from app.mailer.domain.mime.headers import (
    UnsafeHeader,
    address_header,
    content_id_header,
    custom_header,
    date_header,
    disposition_header,
    encoded_words,
    media_type_for,
    media_type_header,
    message_id_header,
    text_header,
    verify_headers,
)

from ..naughty import CONTROLS, LITERALS, header_text

ADA = Mailbox("ada", "example.org")


def unfolded(header: bytes) -> str:
    name, _, value = header.decode().removesuffix("\r\n").partition(":")
    assert re.fullmatch(r"[!-9;-~]+", name)
    value = re.sub(r"\r\n(?=[ \t])", "", value)
    assert "\r" not in value
    assert "\n" not in value
    return value.removeprefix(" ")


def decoded(value: str) -> str:
    return str(make_header(decode_header(value)))


# ---------------------------------------------------------------- unstructured headers


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("Hello", b"Subject: Hello\r\n"),
        ("", b"Subject:\r\n"),
        (" ", b"Subject: =?utf-8?q?_?=\r\n"),
        ("Grüße, Jürgen", b"Subject: =?utf-8?b?R3LDvMOfZSwgSsO8cmdlbg==?=\r\n"),
        ("Letter for Jürgen", b"Subject: =?utf-8?q?Letter_for_J=C3=BCrgen?=\r\n"),
        ("=?utf-8?q?a?=", b"Subject: =?utf-8?b?PT91dGYtOD9xP2E/PQ==?=\r\n"),
        ("ab " * 30 + "c", b"Subject: " + b"ab " * 21 + b"ab\r\n " + b"ab " * 8 + b"c\r\n"),
    ],
)
def test_bytes_of_a_subject(value: str, header: bytes) -> None:
    assert text_header("Subject", value) == header


@given(header_text)
def test_a_subject_reads_back_as_it_was(value: str) -> None:
    header = text_header("Subject", value)
    assert decoded(unfolded(header)) == value
    assert header.isascii()
    assert all(len(line) <= 76 for line in header.split(b"\r\n"))
    assert all(line.strip() for line in header.split(b"\r\n")[:-1])


@given(header_text, st.integers(min_value=1, max_value=76))
def test_a_custom_header_reads_back_as_it_was(value: str, name_length: int) -> None:
    header = custom_header("X" * name_length, value)
    assert decoded(unfolded(header)) == value
    assert header.isascii()
    assert all(len(line) <= 998 for line in header.split(b"\r\n"))


def test_a_long_address_in_a_custom_header_stays_as_it_is() -> None:
    link = "<https://example.org/unsubscribe?token=" + "x" * 300 + ">"
    assert custom_header("List-Unsubscribe", link) == f"List-Unsubscribe: {link}\r\n".encode()


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "X\r\nBcc", "X\n", "Ü", "X\x00", "X" * 77])
def test_a_header_name_outside_rfc_5322_is_refused(name: str) -> None:
    with pytest.raises(UnsafeHeader):
        custom_header(name, "x")


@pytest.mark.parametrize(
    "name", ["Bcc", "bcc", "FROM", "Message-Id", "Content-Type", "Resent-Bcc", "mime-version"]
)
def test_the_programs_own_headers_cannot_be_set(name: str) -> None:
    with pytest.raises(UnsafeHeader, match=name):
        custom_header(name, "x")


# ---------------------------------------------------------------- encoded words


@given(header_text, st.integers(min_value=20, max_value=75))
def test_each_encoded_word_stands_alone(value: str, room: int) -> None:
    words = encoded_words(value, room)
    assert all(len(word) <= 75 for word in words)
    # Decoded one by one: no word ends within a character.
    assert "".join(decoded(word) for word in words) == value


@pytest.mark.parametrize("cluster", ["👨‍👩‍👧‍👦", "🇩🇪", "👍🏽", "e\u0301\u0302", "✈\ufe0f"])
def test_no_encoded_word_ends_within_what_a_reader_sees_as_one(cluster: str) -> None:
    for padding in range(40):
        for word in encoded_words("x" * padding + cluster * 20):
            assert decoded(word).strip("x").replace(cluster, "") == ""


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("", b"To: ada@example.org\r\n"),
        ("Ada Lovelace", b"To: Ada Lovelace <ada@example.org>\r\n"),
        ("Lovelace, Ada", b'To: "Lovelace, Ada" <ada@example.org>\r\n'),
        ("Dr. Ada", b'To: "Dr. Ada" <ada@example.org>\r\n'),
        ('A "B" \\ C', b'To: "A \\"B\\" \\\\ C" <ada@example.org>\r\n'),
        ("Jürgen", b"To: =?utf-8?q?J=C3=BCrgen?= <ada@example.org>\r\n"),
        ("=?utf-8?q?x?=", b"To: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <ada@example.org>\r\n"),
    ],
)
def test_bytes_of_a_mailbox(name: str, header: bytes) -> None:
    assert address_header("To", [Mailbox("ada", "example.org", name)]) == header


@given(st.lists(header_text, min_size=1, max_size=6))
def test_names_read_back_as_they_were(names: list[str]) -> None:
    mailboxes = [Mailbox(f"m{n}", "example.org", name) for n, name in enumerate(names)]
    header = address_header("Reply-To", mailboxes)

    found = getaddresses([unfolded(header)])
    assert [address for _, address in found] == [mailbox.address for mailbox in mailboxes]
    assert [decoded(name) if name else "" for name, _ in found] == names
    assert header.isascii()
    assert all(len(line) <= 78 for line in header.split(b"\r\n"))


def test_a_long_list_is_folded_between_mailboxes() -> None:
    mailboxes = [Mailbox(f"member.number.{n}", "example.org") for n in range(50)]
    lines = address_header("Cc", mailboxes).split(b"\r\n")
    assert all(len(line) <= 76 for line in lines)
    assert all(line.startswith(b" member.number.") for line in lines[1:-1])


def test_a_local_part_outside_ascii_stays_as_it_is() -> None:
    header = address_header("To", [Mailbox("jürgen", "xn--bcher-kva.example", "J")])
    assert header == "To: J <jürgen@xn--bcher-kva.example>\r\n".encode()


@pytest.mark.parametrize(
    "address",
    [
        ("a b", "example.org"),
        ("a\r\nb", "example.org"),
        ("a>", "example.org"),
        ("a,b", "example.org"),
        ("", "example.org"),
        ("a..b", "example.org"),
        ("a\u3000b", "example.org"),
        ("=?utf-8?q?x?=", "example.org"),
        ("a", "exämple.org"),
        ("a", "example.org\r\nBcc: x"),
        ("a", "example.org>"),
        ("a", ""),
    ],
)
def test_what_is_no_address_is_refused(address: tuple[str, str]) -> None:
    with pytest.raises(UnsafeHeader):
        address_header("To", [Mailbox(*address)])


def test_a_quoted_local_part_is_an_address() -> None:
    assert address_header("To", [Mailbox('"a b"', "x.org")]) == b'To: "a b"@x.org\r\n'


# ---------------------------------------------------------------- date, ids


@pytest.mark.parametrize(
    ("date", "header"),
    [
        (datetime(2026, 11, 4, 8, 5, 9, tzinfo=UTC), b"Date: Wed, 04 Nov 2026 08:05:09 +0000\r\n"),
        (
            datetime(2026, 3, 1, 23, 0, tzinfo=timezone(-timedelta(hours=3, minutes=30))),
            b"Date: Sun, 01 Mar 2026 23:00:00 -0330\r\n",
        ),
    ],
)
def test_bytes_of_a_date(date: datetime, header: bytes) -> None:
    assert date_header(date) == header


@given(
    st.datetimes(
        min_value=datetime(1990, 1, 1),  # noqa: DTZ001 (the strategy wants it so)
        timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
    )
)
def test_a_date_reads_back(date: datetime) -> None:
    assert parsedate_to_datetime(unfolded(date_header(date))) == date.replace(microsecond=0)


def test_a_date_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        date_header(datetime(2026, 1, 1))  # noqa: DTZ001 (the point)


@pytest.mark.parametrize(
    "value", ["a@b", "<a>", "<a@b>\r\nX: y", "<a b@c>", "<ä@b>", "<a@b>\n", ""]
)
def test_what_is_no_message_id_is_refused(value: str) -> None:
    with pytest.raises(UnsafeHeader):
        message_id_header(value)


@pytest.mark.parametrize("value", ["", "a b", "<a>", "a\r\nX: y", "ä", "=?utf-8?q?x?=", "a" * 201])
def test_what_is_no_content_id_is_refused(value: str) -> None:
    with pytest.raises(UnsafeHeader):
        content_id_header(value)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("filename", "name", "disposition"),
    [
        ("a.pdf", b'"a.pdf"', b'filename="a.pdf"'),
        (
            'a"b\\.pdf',
            b'"=?utf-8?b?YSJiXC5wZGY=?="',
            b"filename*=UTF-8''a%22b%5C.pdf",
        ),
        (
            "Übersicht.pdf",
            b'"=?utf-8?q?=C3=9Cbersicht=2Epdf?="',
            b"filename*=UTF-8''%C3%9Cbersicht.pdf",
        ),
        (
            "=?utf-8?q?x?=",
            b'"=?utf-8?b?PT91dGYtOD9xP3g/PQ==?="',
            b"filename*=UTF-8''%3D%3Futf-8%3Fq%3Fx%3F%3D",
        ),
        (
            "ä" * 19 + ".pdf",
            b'"=?utf-8?b?w6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6TDpMOkw6Qu?=\r\n'
            b' =?utf-8?q?pdf?="',
            b"filename*0*=UTF-8''"
            + b"%C3%A4" * 9
            + b";\r\n filename*1*="
            + b"%C3%A4" * 9
            + b";\r\n filename*2*=%C3%A4.pdf",
        ),
    ],
)
def test_bytes_of_a_file_name(filename: str, name: bytes, disposition: bytes) -> None:
    content_type = media_type_header("application/pdf", filename)
    assert content_type == b"Content-Type: application/pdf;\r\n name=" + name + b"\r\n"
    header = disposition_header("attachment", filename)
    assert header == b"Content-Disposition: attachment;\r\n " + disposition + b"\r\n"


@pytest.mark.parametrize("filename", ["<a>", '"a"', "\\", " a", "a ", "a  b", "x" * 61, "=?a"])
def test_what_readers_take_differently_is_not_sent_as_a_plain_name(filename: str) -> None:
    assert b"filename*" in disposition_header("attachment", filename)
    assert b"=?utf-8?" in media_type_header("a/b", filename)


@given(header_text.filter(bool))
def test_file_name_headers_are_ascii_in_short_lines(filename: str) -> None:
    for header in (media_type_header("a/b", filename), disposition_header("inline", filename)):
        assert header.isascii()
        assert all(len(line) <= 76 for line in header.split(b"\r\n"))
    pieces = re.findall(rb"filename\*(?:\d+\*)?=(?:UTF-8'')?([^;\r]+)", header)
    for piece in pieces:  # decoded one by one: none ends within a character
        bytes.fromhex(re.sub(rb"%(..)|(.)", _hex, piece).decode()).decode()


def _hex(found: re.Match[bytes]) -> bytes:
    return found[1] or found[2].hex().encode()


@pytest.mark.parametrize("media_type", ["", "pdf", "a/b; x=y", "a/b\r\nX: y", "ä/b", "a/b/c"])
def test_what_is_no_media_type_is_refused(media_type: str) -> None:
    with pytest.raises(UnsafeHeader):
        media_type_header(media_type, "a")


@pytest.mark.parametrize("media_type", ["message/rfc822", "Multipart/mixed"])
def test_a_composite_type_is_not_sent_as_base64(media_type: str) -> None:
    assert b"application/octet-stream" in media_type_header(media_type, "a.eml")


@pytest.mark.parametrize(
    ("filename", "media_type"),
    [
        ("a.pdf", "application/pdf"),
        ("A.PDF", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("a.eml", "application/octet-stream"),
        ("pdf", "application/octet-stream"),
        ("a.", "application/octet-stream"),
    ],
)
def test_media_type_by_ending(filename: str, media_type: str) -> None:
    assert media_type_for(filename) == media_type


# ---------------------------------------------------------------- everywhere

FIELDS: dict[str, Callable[[str], bytes]] = {
    "subject": lambda value: text_header("Subject", value),
    "custom": lambda value: custom_header("X-Test", value),
    "name": lambda value: address_header("To", [Mailbox("a", "b.c", value)]),
    "local part": lambda value: address_header("To", [Mailbox(value, "b.c")]),
    "quoted local part": lambda value: address_header("To", [Mailbox(f'"{value}"', "b.c")]),
    "domain": lambda value: address_header("To", [Mailbox("a", value)]),
    "file name": lambda value: disposition_header("attachment", value),
    "name of a type": lambda value: media_type_header("a/b", value),
    "content id": content_id_header,
    "message id": lambda value: message_id_header(f"<{value}@b.c>"),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", CONTROLS, ids=ascii)
def test_controls_are_refused_in_every_field(field: str, value: str) -> None:
    with pytest.raises(UnsafeHeader) as caught:
        FIELDS[field](value)
    assert "evil" not in str(caught.value) or field in ("content id", "message id")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", LITERALS, ids=lambda value: ascii(value)[:30])
def test_no_field_can_make_a_second_header(field: str, value: str) -> None:
    try:
        header = FIELDS[field](value)
    except UnsafeHeader:
        assert field in ("local part", "quoted local part", "domain", "content id", "message id")
        return
    name = header.partition(b":")[0].decode()
    verify_headers(header, [name], smtputf8=field.endswith("local part"))


@pytest.mark.parametrize(
    "head",
    [
        b"A: x\r\nB: y\r\nC: z\r\n",
        b"A: x\r\n",
        b"B: y\r\nA: x\r\n",
        b"A: x\r\nb: y\r\n",
        b"A: x\r\nB: y",
        b"A: x\nB: y\r\n",
        b"A: x\r\nB: y\rC: z\r\n",
        b"A: x\r\nB: y\r\n\r\n",
        b"A: x\r\n\r\nB: y\r\n",
        b"A: x\r\nB: \x00\r\n",
        b"A: x\r\nB: \xc3\xbc\r\n",
        b"A: x\r\nB: " + b"y" * 996 + b"\r\n",
        b"A: x\r\nB y\r\n",
        b"",
    ],
)
def test_verification_notices_what_differs(head: bytes) -> None:
    with pytest.raises(UnsafeHeader):
        verify_headers(head, ["A", "B"])


def test_verification_passes_what_was_intended() -> None:
    verify_headers(b"A: x\r\n y\r\nB: " + b"y" * 995 + b"\r\n", ["A", "B"])
    verify_headers("A: ü\r\n".encode(), ["A"], smtputf8=True)
