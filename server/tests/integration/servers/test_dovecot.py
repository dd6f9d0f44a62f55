"""The Dovecot fixture is a real IMAP server with the folders that were asked for."""

from __future__ import annotations

import imaplib
from collections.abc import Callable

import pytest

from tests.servers.certificates import Certificates
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.wire import Wire

LETTER = b"Message-ID: <1@example.org>\r\n\r\nHello\r\n"


def test_speaks_tls_both_ways(dovecot: DovecotServer, certificates: Certificates) -> None:
    user, context = dovecot.new_user(), certificates.client_context()
    with imaplib.IMAP4_SSL("localhost", dovecot.tls_port, ssl_context=context) as client:
        client.login(user, PASSWORD)
        client.append("Gesendet", "", "", LETTER)
    with imaplib.IMAP4("localhost", dovecot.port) as client:
        client.starttls(context)
        with pytest.raises(imaplib.IMAP4.error):
            client.login(user, "wrong")
        client.login(user, PASSWORD)
    assert dovecot.messages(user, "Gesendet") == [LETTER]
    assert dovecot.messages(dovecot.new_user(), "Gesendet") == []


def test_has_the_folders_that_were_asked_for(start_dovecot: Callable[..., DovecotServer]) -> None:
    server = start_dovecot(folders={"Sent Items": None}, prefix="INBOX.", separator=".")
    with imaplib.IMAP4(server.host, server.port) as client:
        client.login(server.new_user(), PASSWORD)
        listed = [line for line in client.list()[1] if isinstance(line, bytes)]
    assert any(line.endswith(b'"." "INBOX.Sent Items"') for line in listed)
    assert not any(b"\\Sent" in line for line in listed)


def test_a_wire_cut_leaves_the_client_in_doubt(dovecot: DovecotServer) -> None:
    user = dovecot.new_user()
    with Wire(dovecot.port, cut_before_reply=b"APPENDUID") as wire:
        client = imaplib.IMAP4(wire.host, wire.port)
        client.login(user, PASSWORD)
        with pytest.raises((imaplib.IMAP4.abort, OSError)):
            client.append("Gesendet", "", "", LETTER)
        assert wire.cuts == 1
        with imaplib.IMAP4(wire.host, wire.port) as again:
            again.login(user, PASSWORD)
    assert dovecot.messages(user, "Gesendet") == [LETTER]
