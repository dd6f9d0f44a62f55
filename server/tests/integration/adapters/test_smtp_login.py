"""Encryption and login of SMTP: certificates good and bad, mechanisms, wrong passwords."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator

import pytest

from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.domain.delivery.replies import Outcome, classify
from app.mailer.ports import Envelope, Security, ServerAccess, Stage, TransportFailure
from tests.servers.certificates import Certificates
from tests.servers.smtp import BUSY, DROP, Act, SmtpServer

StartSmtp = Callable[..., SmtpServer]

ANNA = Envelope("sender@example.org", ("anna@example.org",))
TEXT = b"Subject: x\r\n\r\nHello\r\n"
SECURE = [Security.TLS, Security.STARTTLS]


_made: list[SmtpTransport] = []


@pytest.fixture(autouse=True)
def _abort_all() -> Iterator[None]:
    yield
    while _made:
        _made.pop().abort()


def _transport(
    server: SmtpServer,
    security: Security = Security.PLAIN,
    context: ssl.SSLContext | None = None,
    *,
    host: str = "localhost",
    username: str | None = None,
    password: str | None = None,
    token: str | None = None,
    timeout: float = 5.0,
) -> SmtpTransport:
    access = ServerAccess(
        host, server.port, security, username, password, timeout, oauth_token=token
    )
    _made.append(SmtpTransport(access, ssl_context=context))
    return _made[-1]


def _failing(transport: SmtpTransport) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        transport.stage(ANNA, len(TEXT), [TEXT])
    return caught.value


# -- encryption


@pytest.mark.parametrize("security", SECURE)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_good_certificate(
    start_smtp: StartSmtp, certificates: Certificates, security: Security, host: str
) -> None:
    server = start_smtp(
        security=security.value, certificate=certificates.good, users={"anna": "geheim"}
    )
    transport = _transport(
        server,
        security,
        certificates.client_context(),
        host=host,
        username="anna",
        password="geheim",
    )
    for _ in range(2):
        transport.stage(ANNA, len(TEXT), [TEXT])
        transport.finish()
    assert [(m.tls, m.user, m.data) for m in server.messages] == [(True, "anna", TEXT)] * 2
    assert server.connections == 1
    assert server.violations == []


@pytest.mark.parametrize("security", SECURE)
@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("self_signed", "does not know. If the authority is your own, name its file in SSL_CERT"),
        ("expired", "has expired"),
        ("wrong_host", "is not for “localhost” but for mail.example.org"),
    ],
)
def test_a_bad_certificate_stops_everything(
    start_smtp: StartSmtp,
    certificates: Certificates,
    security: Security,
    which: str,
    words: str,
) -> None:
    server = start_smtp(
        security=security.value,
        certificate=getattr(certificates, which),
        users={"anna": "geheim"},
    )
    failure = _failing(
        _transport(
            server, security, certificates.client_context(), username="anna", password="geheim"
        )
    )
    assert (failure.stage, failure.permanent_here) == (Stage.TLS, True)
    assert classify(failure).outcome is Outcome.ACCOUNT
    assert words in failure.message
    assert not any(line.startswith(("AUTH", "MAIL")) for line in server.log)


@pytest.mark.parametrize("security", SECURE)
def test_an_authority_that_nobody_named_is_not_trusted(
    start_smtp: StartSmtp, certificates: Certificates, security: Security
) -> None:
    server = start_smtp(security=security.value, certificate=certificates.good)
    assert _failing(_transport(server, security)).stage is Stage.TLS


@pytest.mark.parametrize("security", SECURE)
def test_ssl_cert_file_names_an_authority(
    start_smtp: StartSmtp,
    certificates: Certificates,
    security: Security,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    server = start_smtp(security=security.value, certificate=certificates.good)
    facts = _transport(server, security).check()
    assert facts.tls_version in {"TLSv1.2", "TLSv1.3"}


def test_starttls_that_is_not_offered_is_not_done_without(start_smtp: StartSmtp) -> None:
    server = start_smtp(users={"anna": "geheim"})
    failure = _failing(_transport(server, Security.STARTTLS, username="anna", password="geheim"))
    assert (failure.stage, failure.permanent_here) == (Stage.TLS, True)
    assert "does not offer STARTTLS" in failure.message
    assert server.log == ["EHLO [127.0.0.1]"]


@pytest.mark.parametrize(
    ("act", "permanent_here", "outcome"),
    [
        ("454 4.7.0 not now", False, Outcome.DEFERRED),
        ("502 5.5.1 never", True, Outcome.ACCOUNT),
        (DROP, False, Outcome.DEFERRED),
    ],
)
def test_starttls_that_goes_wrong(
    start_smtp: StartSmtp,
    certificates: Certificates,
    act: Act | str,
    permanent_here: bool,
    outcome: Outcome,
) -> None:
    server = start_smtp(
        security="starttls",
        certificate=certificates.good,
        users={"anna": "geheim"},
        script={"STARTTLS": [act]},
    )
    failure = _failing(
        _transport(
            server,
            Security.STARTTLS,
            certificates.client_context(),
            username="anna",
            password="geheim",
        )
    )
    assert (failure.stage, failure.permanent_here) == (Stage.TLS, permanent_here)
    assert classify(failure).outcome is outcome
    assert not any(line.startswith("AUTH") for line in server.log)


def test_words_slipped_in_before_encryption_are_noticed(
    start_smtp: StartSmtp, certificates: Certificates
) -> None:
    injected = b"220 go ahead\r\n250-localhost\r\n250 AUTH PLAIN\r\n"
    server = start_smtp(
        security="starttls", certificate=certificates.good, script={"STARTTLS": [injected]}
    )
    failure = _failing(_transport(server, Security.STARTTLS, certificates.client_context()))
    assert (failure.stage, classify(failure).outcome) == (Stage.TLS, Outcome.ACCOUNT)
    assert "tampering" in failure.message


def test_what_was_offered_before_encryption_is_forgotten(
    start_smtp: StartSmtp, certificates: Certificates
) -> None:
    offers = "250 localhost\nSTARTTLS\nSIZE 5\nAUTH PLAIN\nPIPELINING"
    server = start_smtp(
        security="starttls", certificate=certificates.good, script={"EHLO": [offers]}
    )
    facts = _transport(server, Security.STARTTLS, certificates.client_context()).check()
    assert facts.size_limit is None
    assert "AUTH" not in facts.extensions


def test_tls_to_a_port_that_speaks_plainly(start_smtp: StartSmtp) -> None:
    failure = _failing(_transport(start_smtp(), Security.TLS))
    assert (failure.stage, failure.permanent_here) == (Stage.TLS, True)
    assert "starttls" in failure.message


def test_plain_to_a_port_that_speaks_tls(start_smtp: StartSmtp, certificates: Certificates) -> None:
    server = start_smtp(security="tls", certificate=certificates.good)
    failure = _failing(_transport(server, timeout=0.3))
    assert failure.stage is Stage.CONNECT
    assert "are port and security right?" in failure.message


# -- login


@pytest.mark.parametrize("mechanisms", [["PLAIN"], ["LOGIN"], ["CRAM-MD5", "LOGIN", "PLAIN"]])
def test_a_right_password(start_smtp: StartSmtp, mechanisms: list[str]) -> None:
    server = start_smtp(users={"anna": "gehéim"}, mechanisms=mechanisms)
    transport = _transport(server, username="anna", password="gehéim")
    transport.stage(ANNA, len(TEXT), [TEXT])
    transport.finish()
    assert server.messages[0].user == "anna"


def test_a_token(start_smtp: StartSmtp) -> None:
    server = start_smtp(tokens={"anna": "t0ken"}, mechanisms=["PLAIN", "XOAUTH2"])
    _transport(server, username="anna", token="t0ken").check()
    assert server.log[-1] == "AUTH XOAUTH2"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "XOAUTH2"])
def test_a_wrong_password(start_smtp: StartSmtp, mechanism: str) -> None:
    server = start_smtp(users={"anna": "right"}, tokens={"anna": "right"}, mechanisms=[mechanism])
    wrong = {"token": "wr0ng"} if mechanism == "XOAUTH2" else {"password": "wr0ng"}
    failure = _failing(_transport(server, username="anna", **wrong))
    assert (failure.stage, failure.permanent_here) == (Stage.AUTH, True)
    assert classify(failure).outcome is Outcome.ACCOUNT
    assert "the user name “anna” or its password was refused: 535 5.7.8" in failure.message
    assert "wr0ng" not in failure.message


def test_a_server_that_repeats_the_password_is_not_quoted(start_smtp: StartSmtp) -> None:
    encoded = base64.b64encode(b"\0anna\0geheim").decode()
    server = start_smtp(
        users={"anna": "geheim"},
        script={"AUTH": [f"535 5.7.8 cannot use AUTH PLAIN {encoded} for geheim"]},
    )
    failure = _failing(_transport(server, username="anna", password="geheim"))
    assert failure.reply is not None
    for text in (failure.message, repr(failure), failure.reply.text, str(failure)):
        assert "geheim" not in text
        assert encoded not in text


@pytest.mark.parametrize(
    ("act", "outcome", "slow_down"),
    [
        ("454 4.7.0 temporary failure", Outcome.DEFERRED, False),
        ("454 4.7.0 too many login attempts", Outcome.DEFERRED, True),
        (BUSY, Outcome.DEFERRED, True),
        (DROP, Outcome.DEFERRED, False),
        ("534 5.7.9 needs an application password", Outcome.ACCOUNT, False),
        ("334 more", Outcome.DEFERRED, False),
    ],
)
def test_a_login_that_does_not_work(
    start_smtp: StartSmtp, act: Act | str, outcome: Outcome, slow_down: bool
) -> None:
    server = start_smtp(users={"anna": "geheim"}, script={"AUTH": [act]})
    transport = _transport(server, username="anna", password="geheim")
    failure = _failing(transport)
    assert failure.stage is Stage.AUTH
    verdict = classify(failure)
    assert (verdict.outcome, verdict.slow_down) == (outcome, slow_down)
    transport.check()


def test_no_user_name_where_one_is_needed(start_smtp: StartSmtp) -> None:
    failure = _failing(_transport(start_smtp(users={"anna": "geheim"})))
    assert (failure.stage, classify(failure).outcome) == (Stage.MAIL, Outcome.ACCOUNT)


def test_a_password_where_the_server_offers_no_login(start_smtp: StartSmtp) -> None:
    failure = _failing(_transport(start_smtp(), username="anna", password="geheim"))
    assert classify(failure).outcome is Outcome.ACCOUNT
    assert "offers no login" in failure.message


def test_checking_sends_nothing(start_smtp: StartSmtp) -> None:
    server = start_smtp(users={"anna": "geheim"}, size_limit=1000)
    transport = _transport(server, username="anna", password="geheim")
    facts = transport.check()
    transport.close()
    assert facts.size_limit == 1000
    assert facts.tls_version is None
    assert {"SIZE", "PIPELINING", "AUTH", "SMTPUTF8"} <= set(facts.extensions)
    assert server.log == ["EHLO [127.0.0.1]", "AUTH PLAIN", "QUIT"]
