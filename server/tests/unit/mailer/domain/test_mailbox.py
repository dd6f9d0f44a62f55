from __future__ import annotations

import time

import email_validator
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.mailer.domain.mailbox import (
    HeaderInjection,
    InvalidMailbox,
    Mailbox,
    control_character,
    parse_mailbox,
)

LONG_LABEL = "d" * 63


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ada@example.org", Mailbox("ada", "example.org")),
        ("  ada@example.org ", Mailbox("ada", "example.org")),
        ("<ada@example.org>", Mailbox("ada", "example.org")),
        ("Ada Lovelace <ada@example.org>", Mailbox("ada", "example.org", "Ada Lovelace")),
        ("Ada.Lovelace+x@EXAMPLE.Org", Mailbox("Ada.Lovelace+x", "example.org")),
        ('"Müller, Jörg" <j@x.de>', Mailbox("j", "x.de", "Müller, Jörg")),
        ("Müller, Jörg <j@x.de>", Mailbox("j", "x.de", "Müller, Jörg")),
        ('"a \\"b\\" \\\\" <j@x.de>', Mailbox("j", "x.de", 'a "b" \\')),
        ('Jörg "Joe" Müller <j@x.de>', Mailbox("j", "x.de", 'Jörg "Joe" Müller')),
        ("j@x.de <j@x.de>", Mailbox("j", "x.de", "j@x.de")),
        ("j@müller.de", Mailbox("j", "xn--mller-kva.de")),
        ("j@XN--MLLER-KVA.de", Mailbox("j", "xn--mller-kva.de")),
        ("jo\u0308rg@x.de", Mailbox("jörg", "x.de")),
        ('"a b"@x.de', Mailbox('"a b"', "x.de")),
        ('Ada <"a<b"@x.de>', Mailbox('"a<b"', "x.de", "Ada")),
        ("user@localhost", Mailbox("user", "localhost")),
        ("a@mail.example.local", Mailbox("a", "mail.example.local")),
        ("a@example.test", Mailbox("a", "example.test")),
        ({"email": "a@b.de"}, Mailbox("a", "b.de")),
        ({"email": " a@b.de ", "name": ' "x" <y> '}, Mailbox("a", "b.de", '"x" <y>')),
        ({"email": "a@b.de", "name": None}, Mailbox("a", "b.de")),
        (
            "=?utf-8?q?hi=0D=0ABcc:_x?= <a@b.de>",
            Mailbox("a", "b.de", "=?utf-8?q?hi=0D=0ABcc:_x?="),
        ),
        ("l" * 64 + "@b.de", Mailbox("l" * 64, "b.de")),
    ],
)
def test_reads_what_people_write(value: object, expected: Mailbox) -> None:
    assert parse_mailbox(value) == expected


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("ada example.org", "@-sign"),
        ("Ada <ada>", "@-sign"),
        ("Ada <ada@example.org", "bracket"),
        ("Ada ada@example.org>", "not a mailbox"),
        ("a@b@c.de", "“a@b@c.de”"),
        ("a..b@c.de", "two periods"),
        (".a@c.de", "start with a period"),
        ("a@b_c.de", "'_'"),
        ("a@-b.de", "hyphen"),
        ("a@b.de.", "period"),
        ("a@ab--cd.de", "dashes"),
        ("a@xn--zzzzzz.de", "IDNA"),
        ("a@[192.0.2.1]", "bracketed IP"),
        ("a@192.0.2.1", "IP address"),
        ("a@exam\u200bple.org", "ZERO WIDTH SPACE"),
        ("a@ex\u0430mple.org", "mixes Cyrillic and Latin letters in “ex\u0430mple”"),
        ("\u0430da@example.org", "mixes Cyrillic and Latin letters"),
        ("l" * 65 + "@b.de", "64"),
        ("ö" * 33 + "@b.de", "64"),
        (f"a@{'.'.join([LONG_LABEL] * 4)}.de", "too long"),
        (f"a@{'d' * 64}.de", "periods cannot be separated"),
        ("n" * 3000 + " <a@b.de>", "not a mailbox"),
        ("a" * 3000, "too long"),
        ({"email": "a@b.de", "name": "n" * 3000}, "too long"),
        ("a@x.de, b@y.de", "several addresses"),
        ("a@x.de;b@y.de", "several addresses"),
        ("A <a@x.de>, B <b@y.de>", "several addresses"),
        ("a@x.de, B <b@y.de>", "several addresses"),
        ({"name": "Ada"}, '"email"'),
        ({"email": 7}, '"email"'),
        ({"email": "Ada <a@b.de>"}, "“Ada <a@b.de>”"),
        (None, "A mailbox is text"),
        (["a@b.de"], "A mailbox is text"),
    ],
)
def test_refuses_with_a_sentence(value: object, says: str) -> None:
    with pytest.raises(InvalidMailbox) as caught:
        parse_mailbox(value)
    assert says in str(caught.value)
    assert not isinstance(caught.value, HeaderInjection)


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\t", "\x1b", "\x7f", "\x85", "\u2028"])
@pytest.mark.parametrize(
    "form", ["Ada{}X <a@b.de>", "a@b{}.de", "{}a@b.de", "a@b.de{}", '"a{}"@b.de']
)
def test_control_characters_are_header_injection(form: str, character: str) -> None:
    with pytest.raises(HeaderInjection) as caught:
        parse_mailbox(form.format(character))
    assert character not in str(caught.value)
    with pytest.raises(HeaderInjection):
        parse_mailbox({"email": "a@b.de", "name": f"Ada{character}Bcc: x@y.de"})


def test_control_character_is_named() -> None:
    assert control_character("Grüße, 李 =?x?=") is None
    assert control_character("a\r\nb") == "a line break"
    assert control_character("a\u2029b") == "a line break"
    assert control_character("a\0b") == "a control character (U+0000)"
    assert control_character("a\ud800") == "half a character (U+D800)"


def test_key_compares_without_case_but_keeps_people_apart() -> None:
    assert parse_mailbox("Ada@Example.org").key == parse_mailbox("X <aDA@example.ORG>").key
    assert parse_mailbox("a@MÜLLER.de").key == parse_mailbox("a@xn--mller-kva.de").key
    assert parse_mailbox("strauß@x.de").key != parse_mailbox("strauss@x.de").key


def test_display_and_smtputf8() -> None:
    mailbox = parse_mailbox("Jörg <jörg@müller.de>")
    assert mailbox.display == "Jörg <jörg@müller.de>"
    assert mailbox.address == "jörg@xn--mller-kva.de"
    assert mailbox.needs_smtputf8
    assert not parse_mailbox("j@müller.de").needs_smtputf8
    assert parse_mailbox("j@x.de").display == "j@x.de"


names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=60)
addresses = st.sampled_from(["a@b.de", "Ö.x@müller.de", '"a b@<>"@x.org', "u+t@localhost"])


@given(name=names, address=addresses)
@example(name='"', address="a@b.de")
@example(name="\\", address="a@b.de")
@example(name="<x@y.de>", address="a@b.de")
@example(name='"quoted"', address="a@b.de")
def test_text_form_reads_back_the_same(name: str, address: str) -> None:
    mailbox = parse_mailbox({"email": address, "name": name})
    assert mailbox.name == name.strip()
    assert parse_mailbox(str(mailbox)) == mailbox


@given(st.text(max_size=80) | st.from_regex(r"[^@]{0,20}<?[^@]{1,20}@[^@]{1,20}>?", fullmatch=True))
def test_no_accepted_mailbox_holds_control_characters(value: str) -> None:
    try:
        mailbox = parse_mailbox(value)
    except InvalidMailbox:
        return
    for text in (str(mailbox), mailbox.local, mailbox.domain, mailbox.name, mailbox.display):
        assert control_character(text) is None
    assert mailbox.domain.isascii()
    assert " " not in mailbox.domain


plain_characters = "abcXYZ019.-_+!#@'\"()<> ,ö"


@given(
    st.text(plain_characters, max_size=30)
    | st.builds("{}@{}".format, st.text("ab.Z-_+!#0", min_size=1), st.text("ab.Z-_0x", min_size=1))
)
@example("a@b--c.de")
@example("a@ab--c.de")
@example("a@b.d3")
@example("a@b.3d")
def test_fast_path_agrees_with_the_library(address: str) -> None:
    assume("<" not in address and ">" not in address)
    assume(not address.rpartition(".")[2].isdigit())
    assume(not address.rpartition("@")[2].isdigit())
    address = address.strip()
    try:
        expected = email_validator.validate_email(
            address,
            allow_quoted_local=True,
            check_deliverability=False,
            globally_deliverable=False,
            strict=True,
        )
    except email_validator.EmailNotValidError:
        with pytest.raises(InvalidMailbox):
            parse_mailbox(address)
        return
    mailbox = parse_mailbox(address)
    assert mailbox.local.lower() == expected.local_part.lower()
    assert mailbox.domain == expected.ascii_domain


def test_plain_addresses_are_fast() -> None:
    start = time.process_time()
    for number in range(10_000):
        parse_mailbox(f"Ada Lovelace <ada.{number}@example.org>")
    assert time.process_time() - start < 1


def test_hostile_brackets_end_soon() -> None:
    start = time.process_time()
    for value in ("<" * 1999 + ">", '<"' * 999 + ">", "a" + " " * 1900 + "<" + " " * 90 + ">"):
        with pytest.raises(InvalidMailbox):
            parse_mailbox(value)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("address", ["=?utf-8?q?a?=@example.org", "a=?b@example.org"])
def test_an_address_that_readers_would_decode_is_refused(address: str) -> None:
    with pytest.raises(InvalidMailbox, match="begins encoded text"):
        parse_mailbox(address)


@pytest.mark.parametrize(
    "value",
    [
        " " * 660 + "<" + " " * 660 + "<" + " " * 660 + ">",
        "x" + " " * 990 + "<" + " " * 990 + ">",
        '<"' * 990 + ">",
        '<"\\' * 600 + ">",
        "<a@b>" * 390 + ">",
        '"' + "\\" * 1900 + '"@example.org',
        "a@" * 990,
        "x@" + "a-" * 900,
    ],
    ids=lambda value: value[:10].strip() or "blanks",
)
def test_no_value_takes_long(value: str) -> None:
    begin = time.process_time()
    with pytest.raises(InvalidMailbox):
        parse_mailbox(value)
    assert time.process_time() - begin < 0.5
