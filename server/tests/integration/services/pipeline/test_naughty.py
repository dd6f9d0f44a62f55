"""Every string that has broken mail programs, as a value in every place that a value can stand."""

from __future__ import annotations

import html
import re
from email.message import EmailMessage
from typing import Any

import pytest

from app.mailer.domain.errors import CampaignInvalid
from app.mailer.domain.files.attachment_names import safe_filename
from app.mailer.domain.issues import EntryState
from app.mailer.domain.letters.letter import Letter
from app.mailer.services.build import Built
from tests.integration.services.pipeline.desk import (
    Desk,
    attachments,
    codes,
    document,
    parsed,
    raw,
)
from tests.unit.mailer.domain.naughty import CONTROLS, LITERALS

HEADERS = ["Date", "From", "To", "Subject", "Message-ID", "X-Note", "MIME-Version", "Content-Type"]
#: Half a character cannot even be in the campaign file.
_WHOLE = [text for text in CONTROLS if not re.search("[\ud800-\udfff]", text)]
#: A value's ends are trimmed, so these are empty.
BLANK = [text for text in [*LITERALS, *_WHOLE] if not text.strip()]
SAFE = [text for text in LITERALS if text.strip()]
UNSAFE = [text for text in _WHOLE if text.strip() and text != "trailing\r\n"]
ENGINES = pytest.mark.parametrize("engine", ["placeholders", "jinja2"])


def build(desk: Desk, engine: str, value: str, place: str) -> tuple[Letter, Built | None]:
    """A letter with the value of `v` in the bodies and file name, and once in a header `place`."""
    shown = "{{ local.v }}" if engine == "jinja2" else "${v}"
    entry: dict[str, Any] = {"id": "e0", "to": ["Ada <ada@example.org>"], "values": {"v": value}}
    if place == "To":
        entry["to"] = [{"name": "${v}", "email": "ada@example.org"}]
    desk.put("card.pdf", b"%PDF-")
    return desk.letters(
        document(
            fields=[{"name": "v"}],
            template={
                "engine": engine,
                "subject": f"Dear {shown}!" if place == "Subject" else "Card",
                "text": f"Dear {shown}!",
                "html": f"<p title='{shown}'>Dear {shown}!</p>",
            },
            attachments={
                "global": [{"file_filter": "card.pdf", "filename": "${v}.pdf"}],
                "zip": {"enabled": place == "zip", "filename": "${v}.zip"},
            },
            entries={"inline": [entry]},
            delivery={
                "headers": {"X-Note": "for ${v}." if place == "X-Note" else "x"},
                "imap_append_sent": {"enabled": False},
            },
        )
    )["e0"]


def sound(built: Built | None) -> EmailMessage:
    """The message, whose headers are the intended ones, without a bare CR or LF anywhere."""
    assert built is not None
    data = raw(built)
    head = data.partition(b"\r\n\r\n")[0]
    lines = head.split(b"\r\n")
    names = [line.partition(b":")[0].decode() for line in lines if line[:1] not in (b" ", b"\t")]
    assert names == HEADERS
    assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998
    message = parsed(built)
    assert message.keys() == HEADERS
    assert not message.defects
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return _newlines(content)


def _newlines(text: str) -> str:
    return re.sub("\r\n|\r", "\n", text)


@ENGINES
@pytest.mark.parametrize("value", SAFE + UNSAFE, ids=ascii)
def test_in_bodies_and_file_names(desk: Desk, value: str, engine: str) -> None:
    _, built = build(desk, engine, value, "")
    message = sound(built)
    inserted = _newlines(value.strip())
    assert body(message, "plain") == f"Dear {inserted}!\n"
    page = body(message, "html")
    assert html.unescape(page) == f"<p title='{inserted}'>Dear {inserted}!</p>\n"
    assert re.findall("<[^>]*>", page) == [page[: page.index(">") + 1], "</p>"]
    assert page.count("'") == 2
    assert list(attachments(message)) == [safe_filename(f"{value.strip()}.pdf")]


@ENGINES
@pytest.mark.parametrize("place", ["Subject", "To", "X-Note", "zip"])
@pytest.mark.parametrize("value", SAFE, ids=ascii)
def test_in_headers_it_arrives_as_it_is(desk: Desk, value: str, place: str, engine: str) -> None:
    _, built = build(desk, engine, value, place)
    message, inserted = sound(built), value.strip()
    match place:
        case "Subject":
            assert message["Subject"] == f"Dear {inserted}!"
        case "To":
            (address,) = message["To"].addresses
            assert address.addr_spec == "ada@example.org"
        case "X-Note":
            assert message["X-Note"] == f"for {inserted}."
        case "zip":
            assert list(attachments(message)) == [safe_filename(f"{inserted}.zip")]


@ENGINES
@pytest.mark.parametrize("place", ["Subject", "To", "X-Note"])
@pytest.mark.parametrize("value", UNSAFE, ids=ascii)
def test_in_headers_it_blocks(desk: Desk, value: str, place: str, engine: str) -> None:
    letter, built = build(desk, engine, value, place)
    assert built is None
    assert letter.state is EntryState.BLOCKED
    assert codes(letter.issues)[0] == "header-injection"
    assert all(issue.message.isprintable() for issue in letter.issues)


@pytest.mark.parametrize("value", UNSAFE, ids=ascii)
def test_in_an_archives_name_it_is_made_harmless(desk: Desk, value: str) -> None:
    _, built = build(desk, "placeholders", value, "zip")
    (name,) = attachments(sound(built))
    assert name == safe_filename(f"{value.strip()}.zip")
    assert name.isprintable()


@pytest.mark.parametrize("value", BLANK, ids=ascii)
@pytest.mark.parametrize("place", ["Subject", "To", "X-Note", "zip"])
def test_a_blank_value_is_a_missing_one(desk: Desk, value: str, place: str) -> None:
    letter, built = build(desk, "placeholders", value, place)
    assert built is None
    assert set(codes(letter.issues)) <= {"missing-value", "no-recipient"}


@pytest.mark.parametrize("value", ["a\ud83d", "\udc80a"])
def test_half_a_character_is_refused_with_the_file(desk: Desk, value: str) -> None:

    with pytest.raises(CampaignInvalid, match="half a character"):
        build(desk, "placeholders", value, "")


@pytest.mark.parametrize("policy", ["review", "exclude"])
@pytest.mark.parametrize("value", UNSAFE, ids=ascii)
def test_a_milder_policy_never_lets_a_header_through(desk: Desk, value: str, policy: str) -> None:
    letter, built = desk.letters(
        document(
            fields=[{"name": "v"}],
            template={"subject": "For ${v}", "text": "x", "html": "x"},
            entries={"inline": [{"id": "e0", "to": ["a@b.org"], "values": {"v": value}}]},
            delivery={"headers": {"X-Note": "${v}"}, "imap_append_sent": {"enabled": False}},
            validation_policy={"header_injection": policy},
        )
    )["e0"]
    assert letter.state is (EntryState.NEEDS_REVIEW if policy == "review" else EntryState.EXCLUDED)
    if policy == "review":
        message = sound(built)
        assert "\n" not in message["Subject"]
    else:
        assert built is None


@pytest.mark.parametrize("policy", ["review", "exclude"])
@pytest.mark.parametrize("place", ["from", "reply_to"])
def test_a_sender_that_injects_blocks_under_any_policy(desk: Desk, place: str, policy: str) -> None:
    """There is no letter without one; with "review", the build of all others broke off."""
    recipients: dict[str, Any] = {"from": "Office <office@example.org>"}
    recipients[place] = {"name": "${v}", "email": "office@example.org"}
    letters = desk.letters(
        document(
            fields=[{"name": "v"}],
            recipients=recipients,
            template={"subject": "x", "text": "x"},
            entries={
                "inline": [
                    {"id": "e0", "to": ["a@b.org"], "values": {"v": "a\r\nBcc: x@evil.example"}},
                    {"id": "e1", "to": ["b@b.org"], "values": {"v": "Ada"}},
                ]
            },
            validation_policy={"header_injection": policy},
        )
    )
    assert letters["e0"][0].state is EntryState.BLOCKED
    assert letters["e0"][1] is None
    assert letters["e1"][1] is not None
