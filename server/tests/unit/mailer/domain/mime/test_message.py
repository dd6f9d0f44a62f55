from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.utils import collapse_rfc2231_value, getaddresses
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.mailbox import Mailbox
from app.mailer.domain.mime import message as message_module
from app.mailer.domain.mime.blob import BlobRef
from app.mailer.domain.mime.body import normalised_body
from app.mailer.domain.mime.frame import Frame
from app.mailer.domain.mime.headers import UnsafeHeader
from app.mailer.domain.mime.message import (
    Attached,
    Draft,
    InlineImage,
    boundary_for,
    build_frame,
    message_id_for,
)

from ..naughty import CONTROLS, LITERALS, body_text, header_text

FILES: dict[BlobRef, bytes] = {}


def blob(data: bytes) -> BlobRef:
    ref = BlobRef(hashlib.sha256(data).hexdigest(), len(data))
    FILES[ref] = data
    return ref


PDF, LOGO, NOTHING = blob(b"%PDF-1.7 " + bytes(range(256))), blob(b"\x89PNG"), blob(b"")

LETTER = Draft(
    sender=Mailbox("verein", "example.org", "Verein für Ähren"),
    subject="Einladung",
    date=datetime(2026, 11, 24, 8, 0, tzinfo=UTC),
    message_id="<id@example.org>",
    to=(Mailbox("ada", "example.org", "Ada Lovelace"),),
    text="Hallo Ada\n",
)
EVERYTHING = replace(
    LETTER,
    reply_to=(Mailbox("office", "example.org"),),
    cc=(Mailbox("chair", "example.org", "Chair, The"),),
    bcc=(Mailbox("archive", "example.org"), Mailbox("audit", "example.org")),
    html='<p>Hallo <img src="cid:logo"></p>',
    headers=(("List-Unsubscribe", "<https://example.org/u>"), ("X-Year", "2026")),
    inline_images=(InlineImage("logo", "logo.png", "image/png", LOGO),),
    attachments=(Attached("Beleg für Ada.pdf", "application/pdf", PDF),),
)
HEADERS = ["Date", "From", "Reply-To", "To", "Cc", "Subject", "Message-ID"]


def smtp_bytes(frame: Frame) -> bytes:
    return b"".join(frame.chunks(FILES.__getitem__))


def unfolded(value: str) -> str:
    return re.sub(r"\r\n(?=[ \t])", "", value)


def decoded(value: str) -> str:
    return str(make_header(decode_header(unfolded(value))))


def leaves(message: Message) -> list[Message]:
    return [part for part in message.walk() if not part.is_multipart()]


def text_of(part: Message) -> str:
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data.decode().replace("\r\n", "\n")


def filename_of(part: Message) -> str:
    return collapse_rfc2231_value(part.get_param("filename", header="content-disposition"))


def shape(message: Message) -> object:
    if not message.is_multipart():
        return message.get_content_type()
    return message.get_content_subtype(), [shape(part) for part in message.get_payload()]


# ---------------------------------------------------------------- exact bytes


def test_bytes_of_a_plain_letter() -> None:
    frame = build_frame(LETTER)
    assert frame.segments == (
        b"Date: Tue, 24 Nov 2026 08:00:00 +0000\r\n"
        b"From: =?utf-8?b?VmVyZWluIGbDvHIgw4RocmVu?= <verein@example.org>\r\n"
        b"To: Ada Lovelace <ada@example.org>\r\n"
        b"Subject: Einladung\r\n"
        b"Message-ID: <id@example.org>\r\n"
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hallo Ada\r\n",
    )
    assert frame.bcc == b""
    assert not frame.needs_smtputf8


def test_bytes_of_a_letter_with_everything() -> None:
    outer = "=_" + hashlib.sha256(b"<id@example.org>").hexdigest()[:24]
    expected = f"""\
Date: Tue, 24 Nov 2026 08:00:00 +0000
From: =?utf-8?b?VmVyZWluIGbDvHIgw4RocmVu?= <verein@example.org>
Reply-To: office@example.org
To: Ada Lovelace <ada@example.org>
Cc: "Chair, The" <chair@example.org>
Bcc: archive@example.org, audit@example.org
Subject: Einladung
Message-ID: <id@example.org>
List-Unsubscribe: <https://example.org/u>
X-Year: 2026
MIME-Version: 1.0
Content-Type: multipart/mixed;
 boundary="{outer}m"

--{outer}m
Content-Type: multipart/alternative;
 boundary="{outer}a"

--{outer}a
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: 7bit

Hallo Ada

--{outer}a
Content-Type: multipart/related; type="text/html";
 boundary="{outer}r"

--{outer}r
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: 7bit

<p>Hallo <img src="cid:logo"></p>

--{outer}r
Content-Type: image/png;
 name="logo.png"
Content-Transfer-Encoding: base64
Content-ID: <logo>
Content-Disposition: inline;
 filename="logo.png"

iVBORw==
--{outer}r--

--{outer}a--

--{outer}m
Content-Type: application/pdf;
 name="=?utf-8?q?Beleg_f=C3=BCr_Ada=2Epdf?="
Content-Transfer-Encoding: base64
Content-Disposition: attachment;
 filename*=UTF-8''Beleg%20f%C3%BCr%20Ada.pdf

JVBERi0xLjcgAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4v
MDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdo
aWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6PkJGSk5SVlpeYmZqbnJ2en6Ch
oqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX2Nna
29zd3t/g4eLj5OXm5+jp6uvs7e7v8PHy8/T19vf4+fr7/P3+/w==
--{outer}m--
""".replace("\n", "\r\n").encode()
    frame = build_frame(EVERYTHING)
    bcc = b"Bcc: archive@example.org, audit@example.org\r\n"

    assert frame.bcc == bcc
    assert b"".join(frame.sent_copy_chunks(FILES.__getitem__)) == expected
    assert smtp_bytes(frame) == expected.replace(bcc, b"")
    assert frame.size == len(expected) - len(bcc)
    assert frame.blobs == (LOGO, PDF)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"text": "a"}, "text/plain"),
        ({"html": "a"}, "text/html"),
        ({}, "text/plain"),
        ({"text": "a", "html": "a"}, ("alternative", ["text/plain", "text/html"])),
        ({"html": "a", "images": 1}, ("related", ["text/html", "image/png"])),
        (
            {"text": "a", "html": "a", "images": 2},
            (
                "alternative",
                ["text/plain", ("related", ["text/html", "image/png", "image/png"])],
            ),
        ),
        ({"files": 1}, ("mixed", ["text/plain", "application/pdf"])),
        ({"html": "a", "files": 1}, ("mixed", ["text/html", "application/pdf"])),
    ],
)
def test_structure(parts: dict[str, object], expected: object) -> None:
    draft = replace(
        LETTER,
        text=parts.get("text"),
        html=parts.get("html"),
        inline_images=EVERYTHING.inline_images * int(parts.get("images", 0)),
        attachments=EVERYTHING.attachments * int(parts.get("files", 0)),
    )
    assert shape(message_from_bytes(smtp_bytes(build_frame(draft)))) == expected


def test_inline_images_without_html_are_refused() -> None:
    with pytest.raises(ValueError, match="HTML"):
        build_frame(replace(EVERYTHING, html=None))


def test_an_empty_file_and_an_empty_body() -> None:
    draft = replace(LETTER, text=None, attachments=(Attached("a.txt", "text/plain", NOTHING),))
    frame = build_frame(draft)
    body, file = leaves(message_from_bytes(smtp_bytes(frame)))
    assert (text_of(body), file.get_payload(decode=True)) == ("", b"")
    assert frame.size == len(smtp_bytes(frame))
    assert file["Content-Transfer-Encoding"] == "base64"


def test_the_same_draft_gives_the_same_bytes() -> None:
    assert build_frame(EVERYTHING) == build_frame(replace(EVERYTHING))


def test_a_message_id_depends_on_job_build_and_domain_alone() -> None:
    job, build = UUID(int=1), UUID(int=2)
    assert message_id_for(job, build, "x.org") == "<b7b13dd6-d2eb-56e0-8e8b-8cd536555ef7@x.org>"
    ids = {
        message_id_for(*arguments)
        for arguments in [(job, build, "x.org"), (build, job, "x.org"), (job, job, "x.org")]
    }
    assert len(ids) == 3


# ---------------------------------------------------------------- SMTPUTF8


@pytest.mark.parametrize("field", ["sender", "reply_to", "to", "cc", "bcc"])
def test_smtputf8_only_for_a_local_part_outside_ascii(field: str) -> None:
    mailbox = Mailbox("jürgen", "xn--bcher-kva.example", "Jürgen")
    value = mailbox if field == "sender" else (mailbox,)
    frame = build_frame(replace(EVERYTHING, **{field: value}))
    assert frame.needs_smtputf8
    assert smtp_bytes(frame).isascii() == (field == "bcc")
    sent = b"".join(frame.sent_copy_chunks(FILES.__getitem__))
    assert sent.count("<jürgen@xn--bcher-kva.example>".encode()) == 1
    assert "Jürgen".encode() not in sent


# ---------------------------------------------------------------- refusals

SETTERS: dict[str, Callable[[str], Draft]] = {
    "subject": lambda s: replace(EVERYTHING, subject=s),
    "sender name": lambda s: replace(EVERYTHING, sender=Mailbox("a", "b.c", s)),
    "reply-to name": lambda s: replace(EVERYTHING, reply_to=(Mailbox("a", "b.c", s),)),
    "to name": lambda s: replace(EVERYTHING, to=(Mailbox("a", "b.c", s),)),
    "cc name": lambda s: replace(EVERYTHING, cc=(Mailbox("a", "b.c", s),)),
    "bcc name": lambda s: replace(EVERYTHING, bcc=(Mailbox("a", "b.c", s),)),
    "local part": lambda s: replace(EVERYTHING, to=(Mailbox(s, "b.c"),)),
    "domain": lambda s: replace(EVERYTHING, to=(Mailbox("a", s),)),
    "header value": lambda s: replace(EVERYTHING, headers=(("X-Test", s),)),
    "header name": lambda s: replace(EVERYTHING, headers=((s, "x"),)),
    "message id": lambda s: replace(EVERYTHING, message_id=f"<{s}@b.c>"),
    "file name": lambda s: replace(EVERYTHING, attachments=(Attached(s, "a/b", PDF),)),
    "media type": lambda s: replace(EVERYTHING, attachments=(Attached("a", s, PDF),)),
    "image name": lambda s: replace(EVERYTHING, inline_images=(InlineImage("c", s, "a/b", LOGO),)),
    "cid": lambda s: replace(EVERYTHING, inline_images=(InlineImage(s, "a", "a/b", LOGO),)),
}
#: Fields with a grammar of their own, which most naughty strings are outside of.
STRICT = {"local part", "domain", "header name", "message id", "media type", "cid"}


@pytest.mark.parametrize("field", SETTERS)
@pytest.mark.parametrize("value", CONTROLS, ids=ascii)
def test_a_control_character_in_any_field_is_refused(field: str, value: str) -> None:
    with pytest.raises(UnsafeHeader):
        build_frame(SETTERS[field](value))


@pytest.mark.parametrize("field", SETTERS)
@pytest.mark.parametrize("value", LITERALS, ids=lambda value: ascii(value)[:30])
def test_the_header_list_is_the_intended_one_whatever_a_field_holds(field: str, value: str) -> None:
    draft = SETTERS[field](value)
    try:
        raw = smtp_bytes(build_frame(draft))
    except UnsafeHeader:
        assert field in STRICT
        return
    expected = [*HEADERS, *[name for name, _ in draft.headers], "MIME-Version", "Content-Type"]
    for rules in (policy.compat32, policy.default):
        message = message_from_bytes(raw, policy=rules)
        assert message.keys() == expected
        for part in leaves(message):
            assert set(part.keys()) <= {
                "Content-Type",
                "Content-Transfer-Encoding",
                "Content-Disposition",
                "Content-ID",
            }
        assert shape(message) == shape(message_from_bytes(raw))
    assert len(leaves(message)) == 4


@pytest.mark.parametrize("name", ["Bcc", "bCC", "Subject", "To", "content-type", "DATE"])
def test_a_custom_header_cannot_repeat_one_of_ours(name: str) -> None:
    with pytest.raises(UnsafeHeader):
        build_frame(replace(LETTER, headers=((name, "x"),)))


@pytest.mark.parametrize(
    ("maker", "made"),
    [
        ("text_header", b"Subject: x\r\nBcc: x@evil.example\r\n"),
        ("text_header", b"Subject: x\nBcc: x@evil.example\r\n"),
        ("text_header", b"Subject: x\r\n\r\nbody"),
        ("text_header", b""),
        ("address_header", b"To: a@b\r\nX: y\r\n"),
        ("disposition_header", b"Content-Disposition: attachment\r\nX: y\r\n"),
    ],
)
def test_the_finished_headers_are_read_again(
    monkeypatch: pytest.MonkeyPatch, maker: str, made: bytes
) -> None:
    monkeypatch.setattr(message_module, maker, lambda *_: made)
    files = (Attached(f"never seen {maker}.pdf", "application/pdf", PDF),)
    with pytest.raises(UnsafeHeader, match="finished header"):
        build_frame(replace(LETTER, attachments=files))


def test_half_a_character_in_a_body_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        build_frame(replace(LETTER, text="\ud800"))


# ---------------------------------------------------------------- round trip

mailboxes = st.builds(Mailbox, st.sampled_from(["a", "b.c", "d+e"]), st.just("x.org"), header_text)
mailbox_lists = st.lists(mailboxes, max_size=3).map(tuple)
drafts = st.builds(
    Draft,
    sender=mailboxes,
    subject=header_text,
    date=st.just(LETTER.date),
    message_id=st.just("<a@b>"),
    to=mailbox_lists,
    cc=mailbox_lists,
    bcc=mailbox_lists,
    reply_to=mailbox_lists,
    text=st.none() | body_text,
    html=body_text,
    headers=st.lists(st.tuples(st.sampled_from(["X-A", "Y"]), header_text), max_size=2).map(tuple),
    inline_images=st.lists(
        st.builds(
            InlineImage,
            st.from_regex(r"[a-z0-9.@-]{1,20}", fullmatch=True),
            header_text.filter(bool),
            st.just("image/png"),
            st.sampled_from([LOGO, NOTHING]),
        ),
        max_size=2,
    ).map(tuple),
    attachments=st.lists(
        st.builds(
            Attached,
            header_text.filter(bool),
            st.sampled_from(["application/pdf", "text/csv"]),
            st.sampled_from([PDF, NOTHING]),
        ),
        max_size=3,
    ).map(tuple),
)


def people(values: list[str]) -> list[tuple[str, str]]:
    return [
        (decoded(name) if name else "", address)
        for name, address in getaddresses([unfolded(value) for value in values])
    ]


@given(drafts)
def test_every_letter_reads_back_as_it_was_meant(draft: Draft) -> None:
    frame = build_frame(draft)
    raw = smtp_bytes(frame)

    assert len(raw) == frame.size
    assert raw.isascii()
    assert re.search(rb"\r(?!\n)|(?<!\r)\n|\x00", raw) is None
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert Frame.decode(frame.encode()) == frame
    sent = b"".join(frame.sent_copy_chunks(FILES.__getitem__))
    assert sent.replace(frame.bcc, b"", 1) == raw
    assert len(sent) == len(raw) + len(frame.bcc)

    message = message_from_bytes(raw)
    mailbox_headers = {
        "From": (draft.sender,),
        "Reply-To": draft.reply_to,
        "To": draft.to,
        "Cc": draft.cc,
    }
    present = [name for name, values in mailbox_headers.items() if values]
    custom = [name for name, _ in draft.headers]
    keys = ["Date", *present, "Subject", "Message-ID", *custom, "MIME-Version"]
    assert message.keys()[: len(keys)] == keys
    assert set(message.keys()[len(keys) :]) <= {"Content-Type", "Content-Transfer-Encoding"}
    for name, values in mailbox_headers.items():
        intended = [(mailbox.name, mailbox.address) for mailbox in values]
        assert people(message.get_all(name, [])) == intended
    assert people(message_from_bytes(sent).get_all("Bcc", [])) == [
        (mailbox.name, mailbox.address) for mailbox in draft.bcc
    ]
    assert decoded(message["Subject"]) == draft.subject
    values = [(name, decoded(value)) for name, value in message.items() if name in ("X-A", "Y")]
    assert values == list(draft.headers)

    parts = leaves(message)
    bodies = [text for text in (draft.text, draft.html) if text is not None]
    assert [text_of(part) for part in parts[: len(bodies)]] == [
        normalised_body(text) for text in bodies
    ]
    files = [*draft.inline_images, *draft.attachments]
    assert [
        (filename_of(part), part.get_content_type(), part.get_payload(decode=True))
        for part in parts[len(bodies) :]
    ] == [(file.filename, file.media_type, FILES[file.blob]) for file in files]
    cids = [part["Content-ID"] for part in parts if part["Content-ID"]]
    assert cids == [f"<{image.cid}>" for image in draft.inline_images]

    modern = message_from_bytes(raw, policy=policy.default)
    assert modern.keys() == message.keys()
    assert modern["Subject"] == draft.subject
    assert all(not part.defects for part in modern.walk())

    depth = sum(part.is_multipart() for part in message.walk())
    boundaries = raw.count(b"--" + boundary_for("<a@b>").encode())
    assert boundaries == (len(parts) + 2 * depth - 1 if depth else 0)


tame_text = st.text("ab =.,_-ü😀\n", min_size=1, max_size=200).map(normalised_body)
tame_names = st.text("ab Jü.,", max_size=30).map(lambda name: " ".join(name.split()))


@given(
    subject=header_text.filter(lambda value: "=?" not in value),  # CVE-2024-6923 and the like
    name=tame_names,
    text=tame_text,
    html=tame_text,
    filename=tame_names.filter(bool),
)
def test_equal_in_meaning_to_the_standard_library(
    subject: str, name: str, text: str, html: str, filename: str
) -> None:
    draft = replace(
        LETTER,
        subject=subject,
        sender=Mailbox("v", "example.org", name),
        text=text,
        html=html,
        attachments=(Attached(filename, "application/pdf", PDF),),
    )
    theirs = EmailMessage(policy=policy.SMTP)
    theirs["Date"] = draft.date
    theirs["From"] = Address(name, "v", "example.org")
    theirs["To"] = Address("Ada Lovelace", "ada", "example.org")
    theirs["Subject"] = subject
    theirs["Message-ID"] = draft.message_id
    theirs.set_content(text)
    theirs.add_alternative(html, subtype="html")
    theirs.add_attachment(FILES[PDF], "application", "pdf", filename=filename)
    ours = message_from_bytes(smtp_bytes(build_frame(draft)), policy=policy.default)

    assert shape(ours) == shape(theirs)
    for header in ("Date", "From", "To", "Subject", "Message-ID"):
        assert ours[header] == theirs[header]
    for mine, other in zip(leaves(ours), leaves(theirs), strict=True):
        assert mine.get_content_disposition() == other.get_content_disposition()
        assert mine.get_filename() == other.get_filename()
        if mine.get_content_maintype() == "text":
            assert text_of(mine) == text_of(other)
        else:
            assert mine.get_content() == other.get_content()
