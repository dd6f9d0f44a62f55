"""The scripted SMTP server does what its script says, and catches clients that break the rules."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers.certificates import Certificates
from tests.servers.plain_smtp import AiosmtpdServer
from tests.servers.smtp import BUSY, DROP, GARBAGE, KEEP_AND_DROP, Act, SmtpServer

StartSmtp = Callable[..., SmtpServer]
LETTER = "Subject: Hello\r\n\r\n.\r\n..two\r\nend.\r\n"


def send(client: smtplib.SMTP, letter: str = LETTER) -> None:
    client.sendmail("from@example.org", ["to@example.org"], letter)


def raw(port: int, *lines: bytes) -> tuple[socket.socket, bytes]:
    """Says the lines one after another, each after the reply to the last; the last reply."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=5)
    reply = sock.recv(4096)
    for line in lines:
        sock.sendall(line)
        reply = sock.recv(4096)
    return sock, reply


ENVELOPE = (
    b"EHLO here\r\n",
    b"MAIL FROM:<from@example.org>\r\n",
    b"RCPT TO:<to@example.org>\r\n",
    b"DATA\r\n",
)


@pytest.mark.parametrize("kind", [SmtpServer, AiosmtpdServer])
def test_keeps_the_bytes_without_dot_stuffing(
    kind: type[SmtpServer | AiosmtpdServer], tmp_path: Path
) -> None:
    with kind(folder=tmp_path) as server:
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            send(client)
            send(client, ".\r\n")
        assert [m.data for m in server.messages] == [LETTER.encode(), b".\r\n"]
        assert server.messages[0].sender == "from@example.org"
        assert server.messages[0].recipients == ("to@example.org",)
    assert (tmp_path / "00001.eml").read_bytes() == LETTER.encode()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_speaks_tls_with_each_certificate(
    security: str, certificates: Certificates, start_smtp: StartSmtp
) -> None:
    def say_hello(server: SmtpServer) -> None:
        context = certificates.client_context()
        if security == "tls":
            client: smtplib.SMTP = smtplib.SMTP_SSL("localhost", server.port, context=context)
        else:
            client = smtplib.SMTP("localhost", server.port)
            client.starttls(context=context)
        with client:
            send(client)

    good = start_smtp(security=security, certificate=certificates.good)
    say_hello(good)
    assert good.messages[0].tls
    for certificate, reason in (
        (certificates.expired, "expired"),
        (certificates.wrong_host, "Hostname mismatch"),
        (certificates.self_signed, "self-signed"),
    ):
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            say_hello(start_smtp(security=security, certificate=certificate))


def test_wants_the_right_password(start_smtp: StartSmtp) -> None:
    server = start_smtp(users={"ada": "right-password"})
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.ehlo()
        with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            send(client)
        for mechanism in (client.auth_plain, client.auth_login):
            client.user, client.password = "ada", "wrong-password"
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.auth(mechanism.__name__[5:].upper(), mechanism)
            client.password = "right-password"
            client.auth(mechanism.__name__[5:].upper(), mechanism)
        send(client)
    assert server.messages[0].user == "ada"
    assert "password" not in " ".join(server.log)


def test_takes_an_access_token(start_smtp: StartSmtp) -> None:
    server = start_smtp(tokens={"ada": "token"})
    for token, code in (("token", 235), ("stale", 535)):
        with smtplib.SMTP("127.0.0.1", server.port) as client:
            client.ehlo()
            text = f"user=ada\x01auth=Bearer {token}\x01\x01"
            if code == 235:
                assert client.auth("XOAUTH2", lambda _=None, t=text: t)[0] == code
            else:
                with pytest.raises(smtplib.SMTPAuthenticationError):
                    client.auth("XOAUTH2", lambda c=None, t=text: t if c is None else "")


def test_follows_its_script_once(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"RCPT": ["450 4.2.1 busy", None], "DOT": ["250 2.0.0 kept\nas 7"]})
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            send(client)
        assert refused.value.recipients == {"to@example.org": (450, b"4.2.1 busy")}
        send(client)
    assert len(server.messages) == 1


@pytest.mark.parametrize(
    ("step", "act", "kept"),
    [
        ("CONNECT", DROP, 0),
        ("CONNECT", BUSY, 0),
        ("MAIL", DROP, 0),
        ("RCPT", Act(drop=True, reset=True), 0),
        ("DATA", GARBAGE, 0),
        ("TEXT", DROP, 0),
        ("DOT", DROP, 0),
        ("DOT", KEEP_AND_DROP, 1),
        ("DOT", GARBAGE, 0),
        ("DOT", "451 4.3.0 later", 0),
        ("DOT", Act("451 4.3.0 a lie", keep=True), 1),
    ],
)
def test_fails_at_a_step(step: str, act: Act, kept: int, start_smtp: StartSmtp) -> None:
    server = start_smtp(script={step: [act]})
    with (
        pytest.raises((smtplib.SMTPException, OSError)),
        smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client,
    ):
        send(client)
    assert len(server.messages) == kept
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        send(client)
    assert len(server.messages) == kept + 1


def test_waits_until_told(start_smtp: StartSmtp) -> None:
    gate = threading.Event()
    server = start_smtp(script={"DOT": [Act(until=gate)]})
    sock, _ = raw(server.port, *ENVELOPE)
    with sock:
        sock.sendall(b"Subject: x\r\n\r\n.\r\n")
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(10)
        gate.set()
        sock.settimeout(5)
        assert sock.recv(100).startswith(b"250")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"a\nb\r\n", "bare CR or LF"),
        (b"a\r\n.\rMAIL\r\n", "bare CR or LF"),
        (b"a" * 1000 + b"\r\n", "line over 998"),
        ("ä\r\n".encode(), "eight-bit"),
        (b"a\0\r\n", "NUL"),
    ],
)
def test_refuses_text_that_breaks_the_rules(
    text: bytes, fault: str, smtp_server: SmtpServer
) -> None:
    sock, reply = raw(smtp_server.port, *ENVELOPE, text + b".\r\n")
    sock.close()
    assert reply.startswith(b"554 5.6.0")
    assert fault in smtp_server.violations[0]
    assert smtp_server.messages == []


def test_text_without_a_dot_is_never_kept(smtp_server: SmtpServer) -> None:
    sock, reply = raw(smtp_server.port, *ENVELOPE)
    assert reply.startswith(b"354")
    sock.sendall(b"Subject: x\r\n\r\nall of it\r\n")
    sock.close()
    with smtplib.SMTP("127.0.0.1", smtp_server.port) as client:
        send(client)
    assert [m.data for m in smtp_server.messages] == [LETTER.encode()]


def test_notes_pipelining_that_was_not_offered(start_smtp: StartSmtp) -> None:
    both = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n"
    offered, not_offered = start_smtp(), start_smtp(pipelining=False)
    for server in (offered, not_offered):
        sock, _ = raw(server.port, b"EHLO here\r\n", both)
        sock.close()
    assert offered.violations == []
    assert "MAIL was followed by more" in not_offered.violations[0]


def test_honours_its_limits(start_smtp: StartSmtp) -> None:
    server = start_smtp(size_limit=100, smtputf8=False)
    with smtplib.SMTP("127.0.0.1", server.port) as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "100"
        assert "smtputf8" not in client.esmtp_features
        assert client.docmd("MAIL FROM:<a@example.org> SIZE=101")[0] == 552
        assert client.docmd("MAIL FROM:<a@example.org> SMTPUTF8")[0] == 555
    sock, reply = raw(server.port, *ENVELOPE, b"x\r\n" * 50 + b".\r\n")
    sock.close()
    assert reply.startswith(b"552")
    assert server.messages == []


def test_a_misspelt_step_is_an_error() -> None:
    with pytest.raises(ValueError, match="no such step: RCPTS"):
        SmtpServer(script={"RCPTS": ["450 busy"]})
