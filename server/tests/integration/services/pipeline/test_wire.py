"""From a table that anybody may have written to the bytes on the wire: nothing is smuggled."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.domain.mailbox import control_character
from app.mailer.ports import Envelope, Security, ServerAccess
from tests.integration.services.pipeline.desk import Desk, document, parsed, raw
from tests.servers.smtp import SmtpServer
from tests.unit.mailer.domain.naughty import CONTROLS, LITERALS

_PIECES = [
    "\r\n.\r\nMAIL FROM:<evil@example.org>\r\n",
    "\r\nBcc: x@evil.example\r\n\r\n",
    "=?utf-8?q?=0D=0ABcc:_x?=",
    *("\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", ".", "..", "\x00", "\x85", "\u2028", "\t"),
    *("${name}", "{{ 1 }}", "From ", '"', "\\", "<", ">", ",", ";", "ü", "😀", "x" * 80, " ", "a"),
]
_values = st.one_of(
    st.sampled_from([*LITERALS, *CONTROLS]),
    st.lists(st.sampled_from(_PIECES), max_size=8).map("".join),
).filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))

_HEADERS = ["Date", "From", "Reply-To", "To", "Subject", "Message-ID", "X-Note"]


def campaign(zip_: bool) -> dict[str, Any]:
    names = ("name", "topic", "note", "file", "body")
    return document(
        fields=[{"name": name} for name in names],
        recipients={
            "from": {"name": "${name}", "email": "office@example.org"},
            "reply_to": [{"name": "${name}", "email": "reply@example.org"}],
        },
        template={
            "subject": "About ${topic}",
            "text": "Dear ${name},\n${body}\n.\n${body}",
            "html": "<p>${body}</p><img src='cid:logo@example.org'>",
            "inline_images": [{"path": "logo.png", "cid": "logo@example.org"}],
        },
        attachments={
            "global": [{"file_filter": "card.pdf", "filename": "${file}.pdf"}],
            "zip": {"enabled": zip_, "filename": "${file}.zip"},
        },
        entries={"source": {"path": "people.csv"}},
        delivery={"headers": {"X-Note": "${note}"}, "imap_append_sent": {"enabled": False}},
        validation_policy={"header_injection": "review", "missing_value": "warn"},
    )


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(_values, min_size=6, max_size=6), st.booleans())
def test_what_a_table_holds_stays_in_its_place(
    tmp_path: Path, smtp_server: SmtpServer, values: list[str], zip_: bool
) -> None:
    desk = Desk(tmp_path)
    desk.put("card.pdf", b"%PDF-")
    desk.put("logo.png", b"\x89PNG")
    table = io.StringIO(newline="")
    display, *cells = values
    person = '"' + display.replace("\\", "\\\\").replace('"', '\\"') + '" <ada@example.org>'
    writer = csv.writer(table, quoting=csv.QUOTE_ALL)
    writer.writerows(
        [["id", "to", "name", "topic", "note", "file", "body"], ["e0", person, *cells]]
    )
    desk.put("people.csv", table.getvalue())
    prepared = desk.prepare(campaign(zip_))
    if prepared.blocked:
        return
    for letter, built in desk.build(prepared):
        if built is None or letter.sender is None:
            continue
        data = raw(built)
        assert data.isascii()
        assert b"\x00" not in data.partition(b"\r\n\r\n")[0]
        assert data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
        assert max(map(len, data.split(b"\r\n"))) <= 998
        message = parsed(built)
        assert message.keys() == [*_HEADERS, "MIME-Version", "Content-Type"]
        assert [each.addr_spec for each in message["To"].addresses] == ["ada@example.org"]
        assert [each.addr_spec for each in message["From"].addresses] == ["office@example.org"]
        names = [part.get_filename() for part in message.walk() if part.get_filename()]
        assert len(names) == 2
        for name in names:
            assert control_character(name) is None
            assert set('/\\:*?"<>|').isdisjoint(name)
        before = len(smtp_server.messages)
        transport = SmtpTransport(
            ServerAccess("127.0.0.1", smtp_server.port, Security.PLAIN, None, None, 5.0)
        )
        transport.stage(Envelope(letter.sender.address, letter.envelope, False), built.size, [data])
        assert transport.finish().code == 250
        transport.close()
        assert len(smtp_server.messages) == before + 1
        received = smtp_server.messages[-1]
        assert (received.data, received.recipients) == (data, ("ada@example.org",))
        assert smtp_server.violations == []
