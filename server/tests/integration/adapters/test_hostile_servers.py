"""Servers that mean harm cost the time-out and little memory, and end in a sentence."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from app.mailer.adapters.imap import ImapSentFolder
from app.mailer.adapters.smtp import DOT_PATIENCE, SmtpTransport
from app.mailer.ports import (
    Envelope,
    Security,
    SentFolderFailure,
    ServerAccess,
    Stage,
    TransportFailure,
)
from tests.integration.adapters.hostile import Act, dripping, endless, imap, once, serving, smtp

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LETTER = b"Message-ID: <1@example.org>\r\n\r\nHello\r\n"
PASSWORD = "correct-horse"
ENVELOPE = Envelope("a@example.org", ("b@example.org",), False)
Talk = Callable[[socket.socket], object]


def access(port: int, timeout: float, security: Security = Security.PLAIN) -> ServerAccess:
    return ServerAccess("127.0.0.1", port, security, "user", PASSWORD, timeout)


@contextmanager
def soon(seconds: float, megabytes: int = 60) -> Iterator[None]:
    """What is done within takes no longer and no more memory than that."""
    begin, before = time.monotonic(), _peak()
    yield
    assert time.monotonic() - begin < seconds
    assert _peak() - before < megabytes


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# -- IMAP


def file_copy(talk: Talk, timeout: float = 0.3) -> str:
    with serving(talk) as port:
        sent = ImapSentFolder(access(port, timeout))
        try:
            with pytest.raises(SentFolderFailure) as caught:
                sent.append(LETTER, "<1@example.org>", NOW)
        finally:
            sent.close()
    return caught.value.message


def test_an_imap_server_that_means_well() -> None:
    with serving(imap({})) as port:
        sent = ImapSentFolder(access(port, 2.0))
        assert sent.append(LETTER, "<1@example.org>", NOW) == "appended"
        sent.close()


@pytest.mark.parametrize(
    ("command", "act"),
    [
        *((command, dripping(b"x")) for command in ("GREETING", "CAPABILITY", "LIST", "APPEND")),
        *((command, dripping(b"* 1 EXISTS\r\n")) for command in ("LIST", "UID SEARCH", "APPEND")),
        *((command, endless(b"x" * 65536)) for command in ("GREETING", "APPEND")),
    ],
)
def test_an_imap_answer_that_never_ends(command: str, act: Act) -> None:
    with soon(5):
        file_copy(imap({command: act}))


@pytest.mark.parametrize("command", ["LIST", "APPEND"])
def test_imap_lines_without_end_are_not_kept_for_ever(command: str) -> None:
    with soon(5):
        said = file_copy(imap({command: endless(b"* LIST () NIL x\r\n" * 4000)}), 20.0)
    assert "an answer has more than 4 MB" in said


@pytest.mark.parametrize("size", [10**8, 10**11])
def test_an_imap_literal_is_not_believed(size: int) -> None:
    with soon(5):
        said = file_copy(imap({"LIST": once(b'* LIST () "/" {%d}\r\nx' % size)}), 20.0)
    assert "an answer has more than 4 MB" in said


_WORDS = [
    *(b"* ", b"LIST ", b"(", b")", b'"', b"\\", b"{3}\r\n", b"NIL", b"\r\n", b"\xff", b"\0"),
    *(b"OK ", b"NO ", b"BYE ", b" ", b"1", b"SEARCH ", b"BODY[", b"]", b"UID ", b"+ ", b"&AA-"),
]


@pytest.mark.parametrize(
    ("command", "begin"),
    [
        ("CAPABILITY", b"* CAPABILITY "),
        ("LIST", b"* LIST "),
        ("NAMESPACE", b"* NAMESPACE "),
        ("EXAMINE", b"* "),
        ("UID SEARCH", b"* SEARCH "),
        ("UID FETCH", b"* 1 FETCH "),
    ],
)
def test_imap_garbage_is_no_answer(command: str, begin: bytes) -> None:
    """Only a `SentFolderFailure` may come out, whatever the library makes of it."""
    chance = random.Random(command)
    for _ in range(15):
        words = b"".join(chance.choices(_WORDS, k=chance.randint(1, 10)))
        with serving(imap({command: once(begin + words + b"\r\nTAG OK x\r\n")})) as port:
            sent = ImapSentFolder(access(port, 0.1))
            with contextlib.suppress(SentFolderFailure):
                sent.append(LETTER, "<1@example.org>", NOW)
            sent.close()


def test_brackets_without_end_from_imap() -> None:
    said = file_copy(imap({"LIST": once(b"* LIST " + b"(" * 100_000 + b"\r\nTAG OK x\r\n")}))
    assert len(said) < 500


# -- SMTP


def send(talk: Talk, timeout: float = 0.3) -> TransportFailure:
    with serving(talk) as port:
        transport = SmtpTransport(access(port, timeout))

        def deliver() -> None:
            transport.stage(ENVELOPE, len(LETTER), [LETTER])
            transport.finish()

        with pytest.raises(TransportFailure) as caught:
            deliver()
        transport.abort()
    return caught.value


_LOGGED_IN = {"AUTH": once(b"235 welcome\r\n")}


def test_an_smtp_server_that_means_well() -> None:
    with serving(smtp(_LOGGED_IN)) as port:
        transport = SmtpTransport(access(port, 2.0))
        transport.stage(ENVELOPE, len(LETTER), [LETTER])
        assert transport.finish().code == 250
        transport.close()


@pytest.mark.parametrize(
    ("command", "act"),
    [
        *((name, dripping(b"2")) for name in ("GREETING", "EHLO", "AUTH", "MAIL", "RCPT", "DATA")),
        *((name, dripping(b"250-more\r\n")) for name in ("EHLO", "RCPT")),
        *((name, endless(b"2" * 65536)) for name in ("GREETING", "DATA")),
        *((name, endless(b"250-more\r\n" * 6000)) for name in ("EHLO", "MAIL")),
        ("GREETING", once(b"250 " + b"x" * 10_000_000 + b"\r\n")),
    ],
)
def test_an_smtp_answer_that_never_ends(command: str, act: Act) -> None:
    with soon(4):
        failure = send(smtp({**_LOGGED_IN, command: act}))
    assert failure.stage is not Stage.DOT
    assert failure.reply is None
    assert len(failure.message) < 500


def test_a_dot_answered_letter_by_letter_is_given_up_in_time() -> None:
    with soon(0.1 * DOT_PATIENCE + 2):
        failure = send(smtp({**_LOGGED_IN, "DOT": dripping(b"2")}), timeout=0.1)
    assert failure.stage is Stage.DOT


def test_a_login_that_asks_for_ever() -> None:
    asked: list[bytes] = []

    def talk(sock: socket.socket) -> None:
        sock.sendall(b"220 hello\r\n")
        for line in sock.makefile("rb"):
            asked.append(line)
            if line.startswith(b"EHLO"):
                sock.sendall(b"250-me\r\n250 AUTH LOGIN\r\n")
            else:
                sock.sendall(b"334 VXNlcm5hbWU6\r\n")

    failure = send(talk, 2.0)
    assert failure.stage is Stage.AUTH
    assert len(asked) == 4  # EHLO, AUTH LOGIN, user name, password
    assert PASSWORD not in failure.message


def test_a_handshake_letter_by_letter() -> None:
    def talk(sock: socket.socket) -> None:
        record = b"\x16\x03\x03\x40\x00" + b"\x02" * 16384
        for number in range(len(record)):
            sock.sendall(record[number : number + 1])
            time.sleep(0.05)

    with serving(talk) as port, soon(4):
        transport = SmtpTransport(access(port, 0.4, Security.TLS))
        with pytest.raises(TransportFailure) as caught:
            transport.check()
    assert caught.value.stage is Stage.TLS


def test_a_server_that_takes_nothing() -> None:
    answers = {
        b"EHLO": b"250-me\r\n250 AUTH LOGIN\r\n",
        b"AUTH": b"235 welcome\r\n",
        b"DATA": b"354 go on\r\n",
    }

    def talk(sock: socket.socket) -> None:
        file = sock.makefile("rb")
        sock.sendall(b"220 hello\r\n")
        while line := file.readline():
            sock.sendall(answers.get(line[:4], b"250 fine\r\n"))
            if line[:4] == b"DATA":
                time.sleep(3)

    letter = LETTER + (b"x" * 70 + b"\r\n") * 300_000
    with serving(talk) as port, soon(4, 200):
        transport = SmtpTransport(access(port, 0.4))
        with pytest.raises(TransportFailure, match="took nothing for") as caught:
            transport.stage(ENVELOPE, len(letter), [letter])
    assert caught.value.stage is Stage.DATA
