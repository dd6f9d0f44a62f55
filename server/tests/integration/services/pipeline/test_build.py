"""From checked letters to frozen messages."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
import pyzipper

from app.mailer.domain.errors import CampaignInvalid
from app.mailer.domain.issues import EntryState
from app.mailer.domain.mime.frame import Frame
from tests.integration.services.pipeline.desk import (
    NOW,
    Desk,
    attachments,
    codes,
    document,
    entry,
    parsed,
    raw,
)


def zipped(data: bytes, password: str | None) -> dict[str, bytes]:
    with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
        if password is not None:
            archive.setpassword(password.encode())
        return {name: archive.read(name) for name in archive.namelist()}


def zip_campaign(**zip_: Any) -> dict[str, Any]:
    return document(
        fields=[
            {"name": "pin", "type": "secret"},
            {"name": "wants_zip", "type": "boolean"},
            {"name": "number"},
        ],
        attachments={
            "base_path": "files",
            "global": [{"file_filter": "*.pdf", "allow_multiple": True}],
            "zip": {"enabled": True, "filename": "papers-${number}", **zip_},
        },
        entries={
            "inline": [
                entry(0, values={"pin": "hünter2", "wants_zip": True, "number": "0042"}),
                entry(1, values={"pin": "x", "wants_zip": "nein", "number": "0043"}),
            ]
        },
    )


def test_hash_size_and_bytes_are_one(desk: Desk) -> None:
    desk.put("card.pdf", b"%PDF-" * 1000)
    made = document(attachments={"global": [{"file_filter": "card.pdf"}]})
    letter, built = desk.letters(made)["e0"]
    assert built is not None
    data = raw(built)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (built.size, built.sha256)
    stored = Frame.decode(built.frame.encode())
    assert b"".join(stored.chunks(built.contents.__getitem__)) == data
    assert parsed(built)["Date"].datetime == NOW
    assert parsed(built)["Message-ID"] == built.message_id
    assert built.message_id.endswith("@example.org>")
    (file,) = built.files
    assert (file.path, file.size, file.archive) == ("card.pdf", 5000, None)
    assert letter.state is EntryState.READY


def test_a_message_has_all_its_parts(desk: Desk) -> None:
    desk.put("logo.png", b"\x89PNG")
    desk.put("files/Grüße.pdf", b"%PDF-")
    message = desk.message(
        document(
            recipients={
                "from": "Büro <office@example.org>",
                "reply_to": ["help@example.org"],
                "cc": ["c@example.org"],
                "bcc": ["b@example.org"],
            },
            template={
                "subject": "Grüße",
                "text": "Hallo",
                "html": '<img src="cid:logo">',
                "inline_images": [{"cid": "logo", "path": "logo.png"}],
            },
            attachments={"base_path": "files", "global": [{"file_filter": "*.pdf"}]},
            delivery={"headers": {"X-Batch": "7"}, "imap_append_sent": {"enabled": False}},
        )
    )
    assert message["From"].addresses[0].display_name == "Büro"
    assert (message["Subject"], message["X-Batch"]) == ("Grüße", "7")
    assert (message["Cc"], message["Reply-To"]) == ("c@example.org", "help@example.org")
    assert message["Bcc"] is None
    assert attachments(message) == {"Grüße.pdf": b"%PDF-"}
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]


def test_bcc_is_only_in_the_copy_for_sent(desk: Desk) -> None:
    made = document(recipients={"from": "a@example.org", "bcc": ["hidden@example.org"]})
    letter, built = desk.letters(made)["e0"]
    assert built is not None
    assert letter.envelope == ("p0@example.org", "hidden@example.org")
    assert b"hidden@example.org" not in raw(built)
    copy = b"".join(built.frame.sent_copy_chunks(built.contents.__getitem__))
    assert b"\r\nBcc: hidden@example.org\r\n" in copy


def test_an_archive_with_a_password_for_those_who_want_it(desk: Desk) -> None:
    desk.put("files/a.pdf", b"A" * 100)
    desk.put("files/ü.pdf", b"B")
    letters = desk.letters(zip_campaign(password="${pin}", only_if="wants_zip"))
    _, packed = letters["e0"]
    assert packed is not None
    found = attachments(parsed(packed))
    assert list(found) == ["papers-0042.zip"]
    assert zipped(found["papers-0042.zip"], "hünter2") == {"a.pdf": b"A" * 100, "ü.pdf": b"B"}
    with pytest.raises(RuntimeError):
        zipped(found["papers-0042.zip"], "hunter2")
    whole, *inside = packed.files
    assert (whole.filename, whole.archive) == ("papers-0042.zip", None)
    assert [(file.filename, file.archive) for file in inside] == [
        ("a.pdf", "papers-0042.zip"),
        ("ü.pdf", "papers-0042.zip"),
    ]
    _, plain = letters["e1"]
    assert plain is not None
    assert attachments(parsed(plain)) == {"a.pdf": b"A" * 100, "ü.pdf": b"B"}


def test_an_archive_without_a_password_is_the_same_each_time(desk: Desk) -> None:
    desk.put("files/a.pdf", b"A")
    made = zip_campaign(method="store")
    _, first = desk.letters(made)["e0"]
    _, second = desk.letters(made)["e0"]
    assert first is not None
    assert second is not None
    assert raw(first) == raw(second)
    assert zipped(attachments(parsed(first))["papers-0042.zip"], None) == {"a.pdf": b"A"}


def test_jinja_shows_all_rows_of_a_group(desk: Desk) -> None:
    desk.put(
        "people.csv",
        "id;to;house;name;age\n"
        "m;m@example.org;M;Ada;36\nk;k@example.org;K;Bob;7\nm;m@example.org;M;<Eve>;\n",
    )
    made = document(
        fields=[{"name": "house"}, {"name": "name"}, {"name": "age", "type": "integer"}],
        template={
            "engine": "jinja2",
            "subject": "House {{ local.house }}",
            "text": "{% for row in rows %}{{ row.name }}{% if row.age and row.age < 18 %} (child)"
            "{% endif %}\n{% endfor %}",
            "html": "<ul>{% for row in rows %}<li>{{ row.name }}</li>{% endfor %}</ul>",
        },
        entries={"source": {"path": "people.csv", "group_by": "house"}},
    )
    letters = desk.letters(made)
    _, built = letters["m"]
    assert built is not None, letters["m"][0].issues
    message = parsed(built)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == ["Ada", "<Eve>"]
    assert "<li>Ada</li><li>&lt;Eve&gt;</li>" in html.get_content()
    assert message["Subject"] == "House M"
    _, child = letters["k"]
    assert child is not None
    assert parsed(child).get_body(("plain",)).get_content().strip() == "Bob (child)"  # type: ignore[union-attr]


def test_an_entrys_own_subject_and_sender(desk: Desk) -> None:
    made = document(
        fields=[{"name": "name"}],
        entries={
            "inline": [
                entry(
                    values={"name": "Ada"},
                    subject="For ${name}",
                    **{"from": "${name} <own@other.example>"},
                ),
                entry(1),
                entry(2, subject="For ${nmae}"),
            ]
        },
    )
    letters = desk.letters(made)
    _, own = letters["e0"]
    assert own is not None
    message = parsed(own)
    assert (message["Subject"], message["From"]) == ("For Ada", "Ada <own@other.example>")
    assert own.message_id.endswith("@other.example>")
    _, built = letters["e1"]
    assert built is not None
    assert parsed(built)["Subject"] == "Your card"
    letter, none = letters["e2"]
    assert none is None
    assert [(each.code, each.pointer) for each in letter.issues] == [
        ("unknown-placeholder", "/entries/inline/2/subject")
    ]


def test_a_value_in_a_name_cannot_pass_for_an_address(desk: Desk) -> None:
    made = document(
        fields=[{"name": "name"}],
        entries={
            "inline": [
                entry(to=["${name} <ada@example.org>"], values={"name": "x <eve@evil.example>, y"})
            ]
        },
    )
    letter, built = desk.letters(made)["e0"]
    assert built is not None
    assert letter.envelope == ("ada@example.org",)
    (address,) = parsed(built)["To"].addresses
    assert address.addr_spec == "ada@example.org"
    assert address.display_name == "x <eve@evil.example>, y"


def test_a_value_is_never_rendered_again(desk: Desk) -> None:
    made = document(
        fields=[{"name": "a"}, {"name": "b"}],
        template={"subject": "${a}", "text": "$${a} ${a}"},
        entries={"inline": [entry(values={"a": "${b}{{ 7 * 7 }}", "b": "no"})]},
    )
    message = desk.message(made)
    assert message["Subject"] == "${b}{{ 7 * 7 }}"
    assert message.get_content().strip() == "${a} ${b}{{ 7 * 7 }}"


def test_mode_test_builds_for_the_test_recipients(desk: Desk) -> None:
    made = document(
        campaign={"id": "cards", "name": "Cards", "mode": "test"},
        server={"account": "office"},
        delivery={"test_recipients": ["me@example.org"]},
    )
    message = desk.message(made)
    assert message["To"] == "me@example.org"
    assert "p0@example.org" not in str(message)


def test_international_letters(desk: Desk) -> None:
    letters = desk.letters(
        document(entries={"inline": [entry(to=["a@büro.example"]), entry(1, to=["ü@b.org"])]})
    )
    _, domain = letters["e0"]
    _, local = letters["e1"]
    assert domain is not None
    assert local is not None
    assert raw(domain).isascii()
    assert not domain.frame.needs_smtputf8
    assert local.frame.needs_smtputf8
    assert "To: ü@b.org".encode() in raw(local)


def test_a_campaign_at_fault_is_not_built(desk: Desk) -> None:
    prepared = desk.prepare(document(template={"subject": "x", "text": "${"}))
    with pytest.raises(CampaignInvalid, match="begins with"):
        desk.build(prepared)


def test_an_image_that_went_away_stops_the_build(desk: Desk) -> None:
    path = desk.put("logo.png")
    images = [{"cid": "logo", "path": "logo.png"}]
    prepared = desk.prepare(
        document(template={"subject": "x", "html": "x", "inline_images": images})
    )
    path.unlink()
    with pytest.raises(CampaignInvalid, match=r"logo\.png"):
        desk.build(prepared)


def test_an_archive_that_fails_blocks_its_letter(desk: Desk) -> None:
    """A policy may let an empty password pass nowhere, not even at build."""
    desk.put("files/a.pdf")
    made = zip_campaign(password="${pin}")
    made["entries"]["inline"][1]["values"]["pin"] = ""
    made["validation_policy"] = {"missing_value": "ignore"}
    letters = desk.letters(made)
    letter, built = letters["e1"]
    assert built is None
    assert codes(letter.issues) == ["missing-value"]
    assert letters["e0"][1] is not None


def test_a_message_over_the_limit_is_told_where_the_policy_asks(desk: Desk) -> None:
    made = document(
        template={"subject": "x", "text": "x" * 3000},
        delivery={"max_message_bytes": 2000, "imap_append_sent": {"enabled": False}},
    )
    letter, built = desk.letters(made)["e0"]
    assert built is None
    assert codes(letter.issues) == ["too-large"]
    assert "2,000 bytes are allowed" in letter.issues[0].message
    made["validation_policy"] = {"too_large": "warn"}
    letter, built = desk.letters(made)["e0"]
    assert letter.state is EntryState.WARNING
    assert built is not None


def test_only_letters_without_grave_findings_are_built(desk: Desk) -> None:
    desk.put("card.pdf", b"")
    made = document(
        attachments={"global": [{"file_filter": "card.pdf"}]},
        entries={
            "inline": [
                entry(0),
                entry(1, active=False),
                entry(2, to=["x"]),
                entry(3, to=["ü@b.org"]),
            ]
        },
        validation_policy={"empty_file": "ignore", "smtputf8_needed": "exclude"},
    )
    built = {name: built is not None for name, (_, built) in desk.letters(made).items()}
    assert built == {"e0": True, "e1": False, "e2": False, "e3": False}
