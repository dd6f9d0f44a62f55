"""Every string that has broken mail programs, as a value in every place that a value can stand."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from app.mailer.domain.attachment_names import safe_filename
from app.mailer.domain.issues import EntryState
from app.mailer.services.build import Built
from tests.integration.services.pipeline.desk import Desk, attachments, document, parsed, raw
from tests.unit.mailer.domain.naughty import CONTROLS, LITERALS

HEADERS = ["Date", "From", "To", "Subject", "Message-ID", "X-Note", "MIME-Version", "Content-Type"]
#: JSON cannot carry half a character; the file's check refuses it.
STRINGS = [text for text in [*LITERALS, *CONTROLS] if text.isprintable() or text.isascii()]
STRINGS = [text for text in [*LITERALS, *CONTROLS] if not re.search("[\ud800-\udfff]", text)]


def campaign(engine: str, inserted: str) -> dict[str, Any]:
    """Letters with the value in one place each, so that each can be judged alone."""
    placeholder = "${v}"
    shown = "{{ local.v }}" if engine == "jinja2" else placeholder
    rule = {"file_filter": "card.pdf", "filename": f"{placeholder}.pdf"}

    def entry(name: str, **parts: Any) -> dict[str, Any]:
        return {
            "id": name,
            "to": [f"{name}@example.org"],
            "values": {"v": inserted if name != "header" else "x", "h": "x", "zip": False},
            "subject": "Card",
            **parts,
        }

    def only(name: str, values: dict[str, Any], **parts: Any) -> dict[str, Any]:
        made = entry(name, **parts)
        made["values"] = {"v": "x", "h": "x", "zip": False, **values}
        return made

    return document(
        fields=[{"name": "v"}, {"name": "h"}, {"name": "zip", "type": "boolean"}],
        template={
            "engine": engine,
            "subject": "Card",
            "text": f"Dear {shown}!",
            "html": f'<p title="{shown}">Dear {shown}!</p>',
        },
        attachments={
            "global": [rule],
            "zip": {"enabled": True, "filename": "${h}.zip", "only_if": "zip"},
        },
        delivery={"headers": {"X-Note": "${h}"}, "imap_append_sent": {"enabled": False}},
        entries={
            "inline": [
                only("body", {"v": inserted}),
                only("subject", {"v": inserted}, subject=f"Dear {shown}!"),
                only("name", {"v": inserted}, to=[{"name": placeholder, "email": "a@b.example"}]),
                only("header", {"h": inserted}),
                only("zip", {"h": inserted, "zip": True}),
            ]
        },
        validation_policy={
            "unclaimed_file": "ignore",
            "shared_file": "ignore",
            "missing_value": "ignore",
        },
    )


def assert_sound(built: Built) -> None:
    """The header list is the intended one, and there is no bare CR or LF anywhere."""
    data = raw(built)
    head = data.partition(b"\r\n\r\n")[0]
    lines = head.split(b"\r\n")
    names = [line.partition(b":")[0].decode() for line in lines if line[:1] not in (b" ", b"\t")]
    assert names == HEADERS
    assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert not re.search(rb"(?mi)^bcc:", head)
    message = parsed(built)
    assert message["To"].addresses
    assert not message.defects


@pytest.mark.parametrize("engine", ["placeholders", "jinja2"])
@pytest.mark.parametrize("value", STRINGS, ids=ascii)
def test_a_value_is_only_ever_text(desk: Desk, value: str, engine: str) -> None:
    desk.put("card.pdf", b"%PDF-")
    letters = desk.letters(campaign(engine, value))
    wanted = value.strip()  # as every value of a field
    injection = value in CONTROLS and bool(re.search(r"[^\x20-\x7e]", wanted))

    _, body = letters["body"]
    assert body is not None
    assert_sound(body)
    message = parsed(body)
    text = message.get_body(("plain",))
    assert text is not None
    normal = re.sub("\r\n|\r", "\n", wanted)
    assert normal in re.sub("\r\n|\r", "\n", f"{text.get_content()}") or not wanted
    page = message.get_body(("html",))
    assert page is not None
    content = page.get_content()
    assert html.escape(normal) in re.sub("\r\n|\r", "\n", content).replace("&#34;", "&quot;") \
        .replace("&#39;", "&#x27;")
    assert "<script>" not in content
    (name,) = attachments(message)
    assert name == safe_filename(f"{wanted}.pdf" if wanted else "card.pdf")

    for place in ("subject", "name", "header", "zip"):
        letter, built = letters[place]
        if injection and place != "zip":
            assert built is None
            assert letter.state is EntryState.BLOCKED
            assert [issue.code for issue in letter.issues] == ["header-injection"]
            assert "\n" not in letter.issues[0].message
        elif not wanted and place in ("name", "zip"):
            assert built is None
            assert letter.issues[0].code == "missing-value"
        elif injection:
            assert built is None or safe_filename(f"{wanted}.zip") in attachments(parsed(built))
        else:
            assert built is not None, letter.issues
            assert_sound(built)
            found = parsed(built)
            if place == "zip":
                assert list(attachments(found)) == [safe_filename(f"{wanted}.zip")]
