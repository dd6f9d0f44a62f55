"""Mail servers that are not there, not who they say, or refuse the password: no letter is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.desk import Desk, letter
from tests.e2e.scratch import Done
from tests.servers.certificates import Certificates
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.network import free_ports
from tests.servers.smtp import SmtpServer

_SECRET = "hunter2-wrong"


def _env(server: SmtpServer, **more: str) -> dict[str, str]:
    return {
        "MULTIMAILER_SMTP_HOST": "localhost",
        "MULTIMAILER_SMTP_PORT": str(server.port),
        **more,
    }


def _still_queued(desk: Desk) -> bool:
    """Whether the letter waits as before, and no attempt counts."""
    return desk.values("SELECT send_status || attempt_count FROM jobs") == ["queued0"]


def _stopped(done: Done, *wanted: str) -> None:
    assert done.code == 1, done
    assert done.err == "", done
    said = f"{done.json['stopped']} {done.json['hint']}"
    assert [text for text in wanted if text not in said] == [], said
    assert _SECRET not in done.out


def _both(desk: Desk, env: dict[str, str], *wanted: str) -> None:
    """Neither the test letter nor the queued one leaves, and both commands say why."""
    command = ["send_test_message", "--campaign", "campaign.json", "--to", "t@example.org"]
    trial = desk.run(*command, "--json", **env)
    assert trial.code == 1, trial
    assert trial.err == ""
    assert trial.json["sent"] is False
    assert [text for text in wanted if text not in trial.json["error"]] == [], trial
    assert trial.json["hint"] == "Nothing was sent."
    assert _SECRET not in trial.out
    (campaign_id,) = desk.run("list_db_campaigns", "--json").json["campaigns"]
    send = ["send_queued_jobs", "--campaign-id", campaign_id["id"]]
    _stopped(desk.run(*send, "--json", **env), *wanted)
    assert _still_queued(desk)


def test_a_wrong_smtp_password(desk: Desk, start_smtp: Callable[..., SmtpServer]) -> None:
    server = start_smtp(users={"me@example.org": "right"})
    desk.imported(letter())
    env = _env(
        server,
        MULTIMAILER_SMTP_USERNAME="me@example.org",
        MULTIMAILER_SMTP_PASSWORD=_SECRET,
    )
    _both(desk, env, "localhost", "me@example.org", "refused", "535")
    assert server.messages == []


def test_a_server_that_is_not_there(desk: Desk) -> None:
    (port,) = free_ports(1)
    desk.imported(letter())
    env = {"MULTIMAILER_SMTP_PORT": str(port)}
    command = ["send_test_message", "--campaign", "campaign.json", "--to", "t@example.org"]
    trial = desk.run(*command, "--json", **env)
    assert trial.code == 1, trial
    assert str(port) in trial.json["error"]
    assert trial.json["hint"] == "Nothing was sent."
    (campaign,) = desk.run("list_db_campaigns", "--json").json["campaigns"]
    sent = desk.run("send_queued_jobs", "--campaign-id", campaign["id"], "--json", **env)
    assert sent.code == 1, sent
    assert sent.json["waiting"] == 1
    assert desk.values("SELECT count(*) FROM jobs WHERE send_status = 'sent'") == [0]
    assert str(port) in sent.out


def test_a_host_that_does_not_exist(desk: Desk) -> None:
    desk.write(letter())
    command = ["send_test_message", "--campaign", "campaign.json", "--to", "t@example.org"]
    trial = desk.run(*command, "--smtp-host", "mail.invalid", "--json")
    assert trial.code == 1, trial
    assert "mail.invalid" in trial.json["error"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("wrong_host", "mail.example.org"),
        ("expired", "expired"),
        ("self_signed", "certificate"),
    ],
)
def test_a_certificate_that_does_not_fit(
    desk: Desk,
    certificates: Certificates,
    start_smtp: Callable[..., SmtpServer],
    kind: str,
    wanted: str,
    security: str,
) -> None:
    server = start_smtp(
        security=security,
        certificate=getattr(certificates, kind),
        users={"me@example.org": _SECRET},
    )
    desk.imported(letter())
    env = _env(
        server,
        MULTIMAILER_SMTP_SECURITY=security,
        MULTIMAILER_SMTP_USERNAME="me@example.org",
        MULTIMAILER_SMTP_PASSWORD=_SECRET,
        SSL_CERT_FILE=str(certificates.authority),
    )
    _both(desk, env, "localhost", wanted)
    assert not [line for line in server.log if line.startswith(("AUTH", "MAIL"))]


def test_the_right_certificate_is_taken(
    desk: Desk, certificates: Certificates, start_smtp: Callable[..., SmtpServer]
) -> None:
    server = start_smtp(security="tls", certificate=certificates.good)
    desk.write(letter())
    done = desk.run(
        *["send_test_message", "--campaign", "campaign.json", "--to", "t@example.org"],
        **_env(
            server,
            MULTIMAILER_SMTP_SECURITY="tls",
            SSL_CERT_FILE=str(certificates.authority),
        ),
    )
    assert done.code == 0, done
    assert [each.recipients for each in server.messages] == [("t@example.org",)]


def test_the_campaigns_password_stays_with_its_own_host(
    desk: Desk, start_smtp: Callable[..., SmtpServer]
) -> None:
    other = start_smtp(users={"me@example.org": "anything"})
    own = {"username": "me@example.org", "password": _SECRET}
    smtp = {"host": "127.0.0.1", "port": other.port, "security": "plain", **own}
    desk.write(letter(server={"smtp": smtp}))
    done = desk.run(
        *["send_test_message", "--campaign", "campaign.json", "--to", "t@example.org"],
        *["--smtp-host", "localhost", "--json"],
    )
    assert done.code == 1, done
    assert not [line for line in other.log if line.startswith("AUTH")]


# -- IMAP


def _with_imap(smtp: SmtpServer, **imap: Any) -> dict[str, Any]:
    return letter(
        server={
            "smtp": {"host": "127.0.0.1", "port": smtp.port, "security": "plain"},
            "imap": {"enabled": True, "host": "127.0.0.1", "security": "plain", **imap},
        },
        delivery={"imap_append_sent": {"enabled": True}},
    )


def _not_filed(desk: Desk, campaign: dict[str, Any], *wanted: str) -> str:
    """Sends the letter; its copy cannot be filed, which is said and changes nothing else."""
    campaign_id = desk.imported(campaign)
    send = ["send_queued_jobs", "--campaign-id", campaign_id, "--append-sent", "--json"]
    done = desk.run(*send)
    assert done.code == 1, done
    assert done.err == ""
    assert done.json["outcomes"] == {"sent": 1}
    append = desk.run("append_pending_sent", "--campaign-id", campaign_id, "--json")
    for report in (done.json["append_sent"], append.json):
        said = str(report["stopped"] or report["last_error"])
        assert [text for text in wanted if text not in said] == [], report
    assert _SECRET not in done.out + append.out
    assert desk.values("SELECT send_status FROM jobs") == ["sent"]
    return campaign_id


def test_a_wrong_imap_password(desk: Desk, dovecot: DovecotServer, smtp_server: SmtpServer) -> None:
    user = dovecot.new_user()
    campaign = _with_imap(smtp_server, port=dovecot.port, username=user, password=_SECRET)
    campaign_id = _not_filed(desk, campaign, "127.0.0.1", user)
    assert desk.values("SELECT imap_status FROM jobs") == ["pending"]
    shown = desk.run("append_pending_sent", "--campaign-id", campaign_id)
    assert shown.code == 1
    assert "The letters themselves were sent." in shown.out
    assert _SECRET not in shown.out
    assert len(smtp_server.messages) == 1


def test_an_imap_server_that_is_not_there(desk: Desk, smtp_server: SmtpServer) -> None:
    (port,) = free_ports(1)
    campaign = _with_imap(smtp_server, port=port, username="me", password=PASSWORD)
    _not_filed(desk, campaign, str(port))
    assert len(smtp_server.messages) == 1


def test_an_imap_certificate_that_does_not_fit(
    desk: Desk,
    certificates: Certificates,
    start_dovecot: Callable[..., DovecotServer],
    smtp_server: SmtpServer,
) -> None:
    server = start_dovecot(certificate=certificates.self_signed)
    campaign = _with_imap(
        smtp_server,
        port=server.tls_port,
        security="tls",
        username=server.new_user(),
        password=_SECRET,
    )
    _not_filed(desk, campaign, "certificate")
