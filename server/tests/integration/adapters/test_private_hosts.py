"""A server that somebody else than the operator named is not reached in a private network."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.mailer.adapters.account_probes import make_probes
from app.mailer.adapters.connection import refuse_private_host
from app.mailer.adapters.imap import ImapSentFolder
from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.domain.errors import MailerError
from app.mailer.domain.hosts import HostRules
from app.mailer.ports import (
    Security,
    SentFolderFailure,
    ServerAccess,
    Stage,
    TransportFailure,
)
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.smtp import SmtpServer

PUBLIC = "203.0.114.1"
HERE = HostRules.of(["127.0.0.0/8"])


def confined(host: str, port: int, security: Security = Security.PLAIN) -> ServerAccess:
    return ServerAccess(host, port, security, "u", "hunter2", timeout_seconds=2.0, confined=True)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Somebody within this network, whom nobody may knock at."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(0.05)
        yield made


def knocked(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except TimeoutError:
        return False
    return True


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A name service whose answers change: one list of addresses for each question."""

    def serve(*answers: str) -> list[str]:
        asked: list[str] = []

        def answer(host: str, port: int | None, **_: Any) -> list[Any]:
            address = answers[min(len(asked), len(answers) - 1)]
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))]

        monkeypatch.setattr(socket, "getaddrinfo", answer)
        return asked

    return serve


@pytest.mark.parametrize("security", Security)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nobody_is_knocked_at(listener: socket.socket, host: str, security: Security) -> None:
    access = confined(host, listener.getsockname()[1], security)
    with pytest.raises(TransportFailure, match="private network") as smtp:
        SmtpTransport(access).check()
    assert (smtp.value.stage, smtp.value.permanent_here) == (Stage.CONNECT, True)
    with pytest.raises(SentFolderFailure, match="private network") as imap:
        ImapSentFolder(access).folder()
    assert imap.value.permanent_here
    assert not knocked(listener)


def test_what_the_operator_allows_is_reached(
    start_smtp: Callable[..., SmtpServer], dovecot: DovecotServer
) -> None:
    server = start_smtp(users={"u": "hunter2"})
    assert SmtpTransport(confined(server.host, server.port), hosts=HERE).check().mechanisms
    user = dovecot.new_user()
    access = ServerAccess(dovecot.host, dovecot.port, Security.PLAIN, user, PASSWORD, confined=True)
    facts = ImapSentFolder(access, hosts=HERE).check()
    assert (facts.folder, facts.tls_version) == ("Gesendet", None)


def test_a_name_that_leads_elsewhere_after_it_was_saved_is_refused(
    listener: socket.socket, names: Callable[..., list[str]]
) -> None:
    names(PUBLIC, "127.0.0.1")
    refuse_private_host("mail.evil.example", HostRules())
    with pytest.raises(TransportFailure, match="private network"):
        SmtpTransport(confined("mail.evil.example", listener.getsockname()[1])).check()
    assert not knocked(listener)


@pytest.mark.parametrize("adapter", ["smtp", "imap"])
def test_exactly_the_address_that_was_looked_at_is_connected_to(
    adapter: str,
    listener: socket.socket,
    names: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = listener.getsockname()[1]
    asked = names(PUBLIC, "127.0.0.1")
    tried: list[Any] = []

    def connect(_sock: socket.socket, address: Any) -> None:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    probe = getattr(make_probes(HostRules()), adapter)
    with pytest.raises(MailerError, match="refused the connection"):
        probe(confined("mail.evil.example", port), "auto")
    assert asked == ["mail.evil.example"]
    assert tried == [(PUBLIC, port)]
    assert not knocked(listener)


def test_saving_refuses_a_private_host_and_lets_an_unknown_one_pass(
    names: Callable[..., list[str]],
) -> None:
    refuse_private_host("nowhere.invalid", HostRules())
    names("10.0.0.1")
    with pytest.raises(MailerError, match="private network") as caught:
        refuse_private_host("mail.example.org", HostRules())
    assert "10.0.0.1" not in str(caught.value)
    refuse_private_host("mail.example.org", HostRules.of(["mail.example.org"]))
