"""The Sent folder on a real Dovecot: which folder, encryption, login, lost connections."""

from __future__ import annotations

import imaplib
import logging
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.mailer.adapters.imap import ImapSentFolder
from app.mailer.ports import AppendOutcome, Security, SentFolderFailure, ServerAccess
from tests.servers.certificates import Certificates
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.wire import Wire

StartDovecot = Callable[..., DovecotServer]

SENT_AT = datetime(2026, 3, 1, 12, 30, 5, tzinfo=timezone(timedelta(hours=2)))
ID = "<1@example.org>"
LETTER = b"Message-ID: <1@example.org>\r\nSubject: x\r\n\r\n" + b"Hello\r\n" * 2000


_made: list[ImapSentFolder] = []


@pytest.fixture(autouse=True)
def _close_all() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()


def _sent(
    server: DovecotServer,
    user: str,
    *settings: str,
    port: int | None = None,
    security: Security = Security.PLAIN,
    context: ssl.SSLContext | None = None,
    password: str | None = PASSWORD,
    token: str | None = None,
    timeout: float = 5.0,
) -> ImapSentFolder:
    if port is None:
        port = server.tls_port if security is Security.TLS else server.port
    access = ServerAccess("localhost", port, security, user, password, timeout, oauth_token=token)
    _made.append(ImapSentFolder(access, *settings, ssl_context=context))
    return _made[-1]


def _failing(sent: ImapSentFolder) -> SentFolderFailure:
    with pytest.raises(SentFolderFailure) as caught:
        sent.append(LETTER, ID, SENT_AT)
    return caught.value


# -- which folder


def test_the_servers_own_sent_folder(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    sent = _sent(dovecot, user)
    assert sent.append(LETTER, ID, SENT_AT) is AppendOutcome.APPENDED
    assert sent.folder() == "Gesendet"
    assert dovecot.messages(user, "Gesendet") == [LETTER]


def test_a_copy_is_seen_and_has_the_time_of_sending(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    _sent(dovecot, user).append(LETTER, ID, SENT_AT)
    with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
        client.login(user, PASSWORD)
        client.select("Gesendet", readonly=True)
        _, parts = client.fetch("1", "(FLAGS INTERNALDATE)")
    assert isinstance(parts[0], bytes)
    assert b"\\Seen" in parts[0]
    written = imaplib.Internaldate2tuple(parts[0])
    assert written is not None
    expected = SENT_AT.astimezone(UTC).timestamp()
    assert datetime(*written[:6]).astimezone().timestamp() == expected


def test_a_configured_folder(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    _sent(dovecot, user, "auto", "Drafts").append(LETTER, ID, SENT_AT)
    assert dovecot.messages(user, "Drafts") == [LETTER]


def test_a_configured_folder_that_is_absent_is_not_created(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    failure = _failing(_sent(dovecot, user, "Gesendte"))
    assert failure.permanent_here
    assert not failure.unknown
    assert "no folder “Gesendte”. Is “Gesendet” meant? Folders: Drafts, Gesendet, INBOX." in (
        failure.message
    )
    with imaplib.IMAP4(dovecot.host, dovecot.port) as client:
        client.login(user, PASSWORD)
        assert not any(b"Gesendte" in line for line in client.list()[1] if isinstance(line, bytes))


def test_a_usual_name_behind_a_prefix(start_dovecot: StartDovecot) -> None:
    server = start_dovecot(
        folders={"Sent Items": None, "Grüße": None}, prefix="INBOX.", separator="."
    )
    user = server.new_user()
    assert _sent(server, user).folder() == "INBOX.Sent Items"
    umlauts = _sent(server, user, "Grüße")
    assert umlauts.folder() == "INBOX.Grüße"
    assert umlauts.append(LETTER, ID, SENT_AT) is AppendOutcome.APPENDED
    assert umlauts.contains(ID)


def test_no_sent_folder_at_all(start_dovecot: StartDovecot) -> None:
    server = start_dovecot(folders={"Archiv": None})
    failure = _failing(_sent(server, server.new_user()))
    assert failure.permanent_here
    assert "server.imap.sent_folder" in failure.message
    assert "Folders: Archiv, INBOX." in failure.message


# -- encryption and login


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_encrypted(dovecot: DovecotServer, certificates: Certificates, security: Security) -> None:
    sent = _sent(
        dovecot, dovecot.new_user(), security=security, context=certificates.client_context()
    )
    assert sent.append(LETTER, ID, SENT_AT) is AppendOutcome.APPENDED
    sent.close()


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_an_authority_that_nobody_named_is_not_trusted(
    dovecot: DovecotServer, security: Security
) -> None:
    failure = _failing(_sent(dovecot, dovecot.new_user(), security=security))
    assert failure.permanent_here
    assert "SSL_CERT_FILE" in failure.message


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
@pytest.mark.parametrize(
    ("which", "words"),
    [("wrong_host", "not for “localhost” but for mail.example.org"), ("expired", "has expired")],
)
def test_a_bad_certificate(
    start_dovecot: StartDovecot,
    certificates: Certificates,
    security: Security,
    which: str,
    words: str,
) -> None:
    server = start_dovecot(certificate=getattr(certificates, which))
    context = certificates.client_context()
    failure = _failing(_sent(server, server.new_user(), security=security, context=context))
    assert failure.permanent_here
    assert words in failure.message


def test_tls_to_a_port_that_speaks_plainly(dovecot: DovecotServer) -> None:
    failure = _failing(_sent(dovecot, "a@example.org", security=Security.TLS, port=dovecot.port))
    assert "starttls" in failure.message


def test_a_wrong_password(dovecot: DovecotServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    failure = _failing(_sent(dovecot, "anna@example.org", password="wr0ng"))
    assert failure.permanent_here
    assert "the login as “anna@example.org” was refused" in failure.message
    assert "AUTHENTICATIONFAILED" in failure.message
    assert "wr0ng" not in failure.message
    assert "wr0ng" not in caplog.text


@pytest.mark.parametrize(("password", "words"), [(None, "missing"), ("a\r\nb", "line break")])
def test_a_password_that_cannot_be_said(
    dovecot: DovecotServer, password: str | None, words: str
) -> None:
    failure = _failing(_sent(dovecot, "anna@example.org", password=password))
    assert failure.permanent_here
    assert words in failure.message


def test_a_mechanism_that_the_server_does_not_know(dovecot: DovecotServer) -> None:
    failure = _failing(_sent(dovecot, "anna@example.org", password=None, token="t0ken"))
    assert failure.permanent_here
    assert "t0ken" not in failure.message


def test_a_server_that_is_not_there(dovecot: DovecotServer) -> None:
    with Wire(dovecot.port) as wire:
        port = wire.port
    failure = _failing(_sent(dovecot, "anna@example.org", port=port))
    assert not failure.unknown
    assert f"localhost:{port} refused the connection" in failure.message


def test_a_server_that_says_nothing(dovecot: DovecotServer) -> None:
    with Wire(dovecot.port, cut_before_reply=b"* OK") as wire:
        failure = _failing(_sent(dovecot, "anna@example.org", port=wire.port))
    assert not failure.unknown


# -- lost connections


def test_filed_but_the_answer_was_lost(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    with Wire(dovecot.port, cut_before_reply=b"OK [APPENDUID") as wire:
        sent = _sent(dovecot, user, port=wire.port)
        failure = _failing(sent)
        assert wire.cuts == 1
        assert failure.unknown
        assert not failure.permanent_here
        assert sent.append(LETTER, ID, SENT_AT) is AppendOutcome.ALREADY_THERE
    assert dovecot.messages(user, "Gesendet") == [LETTER]


@pytest.mark.parametrize(
    "cut", [{"cut_before_reply": b"+ OK"}, {"cut_after_request": b"APPEND"}], ids=str
)
def test_not_filed_and_the_connection_was_lost(
    dovecot: DovecotServer, cut: dict[str, bytes]
) -> None:
    user = dovecot.new_user()
    with Wire(dovecot.port, **cut) as wire:
        sent = _sent(dovecot, user, port=wire.port)
        assert _failing(sent).unknown
        assert wire.cuts == 1
        assert sent.append(LETTER, ID, SENT_AT) is AppendOutcome.APPENDED
    assert dovecot.messages(user, "Gesendet") == [LETTER]


@pytest.mark.parametrize("moment", [b"NOOP", b"SEARCH"])
def test_an_old_connection_that_was_lost(dovecot: DovecotServer, moment: bytes) -> None:
    user = dovecot.new_user()
    with Wire(dovecot.port, cut_after_request=moment) as wire:
        sent = _sent(dovecot, user, port=wire.port)
        assert sent.folder() == "Gesendet"
        if moment == b"SEARCH":
            assert not _failing(sent).unknown
        assert sent.append(LETTER, ID, SENT_AT) is AppendOutcome.APPENDED
        assert wire.cuts == 1
    assert dovecot.messages(user, "Gesendet") == [LETTER]


def test_letters_filed_by_others_meanwhile_are_seen(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    first, second = _sent(dovecot, user), _sent(dovecot, user)
    assert not first.contains(ID)
    second.append(LETTER, ID, SENT_AT)
    assert first.append(LETTER, ID, SENT_AT) is AppendOutcome.ALREADY_THERE


def test_a_letter_whose_copy_has_the_field_folded(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    sent = _sent(dovecot, user)
    folded = LETTER.replace(b"Message-ID: <", b"message-id:\r\n <")
    sent.append(folded, ID, SENT_AT)
    assert sent.contains(ID)


# -- what is not let through


@pytest.mark.parametrize(
    "message_id", ["", "1@x", '<a"@x> OR ALL', "<a@x>\r\nA1 LOGOUT", "<a b@x>"]
)
def test_a_message_id_that_could_inject_is_refused(dovecot: DovecotServer, message_id: str) -> None:
    sent = _sent(dovecot, dovecot.new_user())
    with pytest.raises(ValueError, match="Message-ID"):
        sent.contains(message_id)


@pytest.mark.parametrize("message_id", ['<a"b@example.org>', "<a\\b@example.org>", "<(a){1}@x>"])
def test_a_message_id_with_special_characters(dovecot: DovecotServer, message_id: str) -> None:
    sent = _sent(dovecot, dovecot.new_user())
    letter = f"Message-ID: {message_id}\r\n\r\n".encode()
    assert sent.append(letter, message_id, SENT_AT) is AppendOutcome.APPENDED
    assert sent.append(letter, message_id, SENT_AT) is AppendOutcome.ALREADY_THERE


@pytest.mark.parametrize("letter", [b"a\nb\r\n", b"a\rb\r\n", b"a\n\rb"])
def test_line_breaks_that_would_be_mended_are_refused(
    dovecot: DovecotServer, letter: bytes
) -> None:
    with pytest.raises(ValueError, match="CRLF"):
        _sent(dovecot, "anna@example.org").append(letter, ID, SENT_AT)


def test_a_time_without_a_zone_is_refused(dovecot: DovecotServer) -> None:
    with pytest.raises(ValueError, match="time zone"):
        _sent(dovecot, "anna@example.org").append(LETTER, ID, datetime(2026, 3, 1))  # noqa: DTZ001
