"""Frozen messages read back: what was put in comes out."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.mailbox import parse_mailbox
from app.mailer.domain.mime.blob import BlobRef
from app.mailer.domain.mime.message import Attached, Draft, InlineImage, build_frame
from app.mailer.domain.mime.reading import Image, read_message

_PICTURE, _FILE = BlobRef("a" * 64, 5), BlobRef("b" * 64, 7)


def draft(**parts: object) -> Draft:
    given: dict[str, object] = {
        "sender": parse_mailbox("Büro <office@example.org>"),
        "to": (parse_mailbox("Ann <ann@example.org>"), parse_mailbox("bob@example.org")),
        "subject": "Hello",
        "date": datetime(2026, 3, 2, tzinfo=UTC),
        "message_id": "<1@example.org>",
        "text": "Hello.\n",
    }
    return Draft(**(given | parts))  # type: ignore[arg-type]


def test_headers_are_decoded_and_bcc_is_told_apart() -> None:
    message = read_message(
        build_frame(
            draft(
                subject="Größe " * 39 + "Größe",
                cc=(parse_mailbox("cc@example.org"),),
                bcc=(parse_mailbox("Çelik <hidden@example.org>"),),
                reply_to=(parse_mailbox("reply@example.org"),),
            )
        )
    )
    assert message.header("from") == "Büro <office@example.org>"
    assert message.header("To") == "Ann <ann@example.org>, bob@example.org"
    assert message.header("Cc") == "cc@example.org"
    assert message.header("Reply-To") == "reply@example.org"
    assert message.header("Subject") == "Größe " * 39 + "Größe"
    assert message.header("Bcc") == ""
    assert message.bcc == "Çelik <hidden@example.org>"
    assert message.header("X-None") == ""


def test_an_address_outside_ascii_is_read_as_it_is() -> None:
    frame = build_frame(draft(to=(parse_mailbox("jürgen@example.org"),)))
    assert frame.needs_smtputf8
    assert read_message(frame).header("To") == "jürgen@example.org"


def test_images_are_found_by_their_ids_and_attachments_are_none() -> None:
    message = read_message(
        build_frame(
            draft(
                html='<img src="cid:logo">',
                inline_images=(InlineImage("logo", "logo.png", "image/png", _PICTURE),),
                attachments=(Attached("a.txt", "text/plain", _FILE),),
            )
        )
    )
    assert message.images == {"logo": Image("image/png", _PICTURE)}
    assert (message.text, message.html) == ("Hello.\n", '<img src="cid:logo">\n')


def test_a_letter_without_html_has_none_and_one_without_text_neither() -> None:
    assert read_message(build_frame(draft())).html is None
    message = read_message(build_frame(draft(text=None, html="<p>Hi</p>")))
    assert (message.text, message.html) == (None, "<p>Hi</p>\n")


def test_text_that_looks_like_a_mark_is_text() -> None:
    message = read_message(
        build_frame(
            draft(text="blob:0", attachments=(Attached("a.pdf", "application/pdf", _FILE),))
        )
    )
    assert message.text == "blob:0\n"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_any_text_comes_back(text: str) -> None:
    expected = text if not text or text.endswith("\n") else text + "\n"
    assert read_message(build_frame(draft(text=text))).text == expected
