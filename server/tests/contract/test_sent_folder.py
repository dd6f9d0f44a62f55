"""What every `SentFolder` promises: the recording one, and IMAP on a real Dovecot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from app.mailer.adapters.imap import ImapSentFolder
from app.mailer.adapters.recording import RecordingSentFolder
from app.mailer.ports import AppendOutcome, Security, SentFolder, ServerAccess
from tests.servers.dovecot import PASSWORD, DovecotServer

SENT_AT = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)


@dataclass
class Account:
    sent: SentFolder
    stored: Callable[[], list[bytes]]


def _letter(message_id: str, body: bytes = b"Hello\r\n") -> bytes:
    return b"Message-ID: " + message_id.encode() + b"\r\nSubject: x\r\n\r\n" + body


@pytest.fixture(params=["imap", "recording"])
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    if request.param == "recording":
        recorder = RecordingSentFolder("Gesendet", keep_content=True)
        made = Account(recorder, lambda: list(recorder.content.values()))
    else:
        server: DovecotServer = request.getfixturevalue("dovecot")
        user = server.new_user()
        access = ServerAccess(server.host, server.port, Security.PLAIN, user, PASSWORD)
        made = Account(ImapSentFolder(access), lambda: server.messages(user, "Gesendet"))
    yield made
    made.sent.close()


def test_the_folder_has_a_name(account: Account) -> None:
    assert account.sent.folder() == "Gesendet"


@pytest.mark.parametrize(
    "body",
    [b"", b"Hello\r\n", b".\r\n..\r\n", b"no end of line", b"0123456789" * 90 + b"\r\n"],
)
def test_exactly_the_bytes_are_filed(account: Account, body: bytes) -> None:
    letter = _letter("<1@example.org>", body)
    assert account.sent.append(letter, "<1@example.org>", SENT_AT) is AppendOutcome.APPENDED
    assert account.stored() == [letter]


def test_a_letter_is_filed_once(account: Account) -> None:
    letter = _letter("<1@example.org>")
    assert account.sent.contains("<1@example.org>") is False
    assert account.sent.append(letter, "<1@example.org>", SENT_AT) is AppendOutcome.APPENDED
    assert account.sent.contains("<1@example.org>") is True
    assert account.sent.append(letter, "<1@example.org>", SENT_AT) is AppendOutcome.ALREADY_THERE
    assert account.stored() == [letter]


def test_a_part_of_another_message_id_is_not_a_match(account: Account) -> None:
    longer = "<prefix-1@example.org>"
    account.sent.append(_letter(longer), longer, SENT_AT)
    for part in ("<1@example.org>", "<prefix-1@example.or>", "<PREFIX-1@example.org>"):
        assert account.sent.contains(part) is False


def test_many_letters_over_one_connection(account: Account) -> None:
    letters = {f"<{n}@example.org>": _letter(f"<{n}@example.org>") for n in range(10)}
    for message_id, letter in letters.items():
        account.sent.append(letter, message_id, SENT_AT)
    assert account.stored() == list(letters.values())


def test_closing_is_harmless_at_any_time(account: Account) -> None:
    account.sent.close()
    account.sent.append(_letter("<1@example.org>"), "<1@example.org>", SENT_AT)
    account.sent.close()
    account.sent.close()
    assert account.sent.contains("<1@example.org>")
