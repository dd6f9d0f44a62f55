from __future__ import annotations

import csv
import email
import email.policy
import io
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from email.message import EmailMessage
from typing import Any

import pytest
from sqlalchemy import Engine, inspect

from app.access.scopes import Scope
from app.db.repositories import campaigns
from app.db.repositories.jobs import NewJob
from app.db.session import reading
from app.mailer.adapters.recording import Recorded, RecordingTransport
from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.errors import AccessDenied, ConfigurationError, MailerError, NotFound
from app.mailer.ports import (
    Envelope,
    MailTransport,
    Reply,
    Security,
    ServerAccess,
    Stage,
    Staged,
    TransportFailure,
)
from app.mailer.services.email_report import Emailed, Post, email_report
from tests.integration.services.reporting.conftest import CONFIG, NOW, Desk
from tests.servers.smtp import BUSY, DROP, GARBAGE, KEEP_AND_DROP, SmtpServer

Make = Callable[..., NewJob]


class StillClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


@pytest.fixture
def transport() -> RecordingTransport:
    return RecordingTransport(keep_content=True)


@pytest.fixture
def mail(desk: Desk, engine: Engine, transport: RecordingTransport) -> Callable[..., Emailed]:
    def send(
        *to: str,
        through: MailTransport = transport,
        who: Desk = desk,
        scope: str = "",
        **given: Any,
    ) -> Emailed:
        post = Post(
            reading=reading(engine),
            sessions=desk.sessions,
            clock=StillClock(),
            box=AesSecretBox(bytes(32)),
            connect=lambda _campaign: through,
        )
        values: dict[str, Any] = {
            "version_id": None,
            "include_jobs": False,
            "attach_jobs_csv": True,
            "attach_report_json": False,
            "dry_run": False,
        }
        actor = who.actor(scope or Scope.REPORTS_SEND)
        return email_report(post, actor, desk.campaign_id, to=to, **(values | given))

    return send


def message_of(recorded: Recorded) -> EmailMessage:
    assert recorded.content is not None
    found = email.message_from_bytes(recorded.content, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def files_of(message: EmailMessage) -> dict[str, str]:
    return {
        part.get_filename() or "": bytes(part.get_payload(decode=True)).decode()
        for part in message.iter_attachments()
    }


def test_the_report_goes_to_everybody_named(
    desk: Desk, new_job: Make, mail: Callable[..., Emailed], transport: RecordingTransport
) -> None:
    version_id = desk.add_version(new_job(0, subject="Grüße", to_display="=x@example.org"))
    desk.change(version_id, ["e0"], send_status=SendStatus.SENT)
    before = desk.jobs(version_id)["e0"]

    done = mail("Böb <bob@example.org>", "carol@example.org", "BOB@example.org")
    (recorded,) = transport.sent
    assert recorded.envelope == Envelope(
        "office@example.org", ("bob@example.org", "carol@example.org")
    )
    message = message_of(recorded)
    assert message["From"] == "Office <office@example.org>"
    assert message["To"] == "Böb <bob@example.org>, carol@example.org"
    assert message["Subject"] == done.subject == "Report: Spring, version 1"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == done.message_id
    assert message["Date"].datetime == NOW
    body = message.get_body()
    assert body is not None
    assert "1 of 1 message sent." in body.get_content()
    assert (done.to, done.size) == (recorded.envelope.recipients, recorded.size)
    assert done.attachments == ("spring-v1-jobs.csv",)
    assert not done.dry_run

    text = files_of(message)["spring-v1-jobs.csv"]
    assert text.startswith("\ufeffentry_id,")
    (line,) = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    assert (line["entry_id"], line["subject"]) == ("e0", "Grüße")
    assert line["to"] == "'=x@example.org"

    after = desk.jobs(version_id)["e0"]
    loaded = set(inspect(after).dict)
    columns = [column.key for column in type(after).__table__.columns if column.key in loaded]
    assert "send_status" in columns
    assert [getattr(after, c) for c in columns] == [getattr(before, c) for c in columns]
    (entry,) = desk.audit()
    assert (entry.action, entry.object_type) == ("report.emailed", "campaign")
    assert entry.details["to"] == ["bob@example.org", "carol@example.org"]
    assert entry.details["outcome"] == "accepted"
    assert entry.details["attachments"] == ["spring-v1-jobs.csv"]


@pytest.mark.parametrize("include_jobs", [True, False])
def test_the_json_report_can_be_attached(
    desk: Desk,
    new_job: Make,
    mail: Callable[..., Emailed],
    transport: RecordingTransport,
    include_jobs: bool,
) -> None:
    desk.add_version(new_job(0))
    mail(
        "bob@example.org",
        attach_jobs_csv=False,
        attach_report_json=True,
        include_jobs=include_jobs,
        dry_run=True,
    )
    files = files_of(message_of(transport.sent[0]))
    report = json.loads(files.pop("spring-v1-report.json"))
    assert files == {}
    assert report["cards"]["ready_to_send"] == 1
    assert ("jobs" in report) is include_jobs
    assert [entry.action for entry in desk.audit()] == ["report.email_dry_run"]


def test_a_chosen_version_is_reported(
    desk: Desk, new_job: Make, mail: Callable[..., Emailed], transport: RecordingTransport
) -> None:
    first = desk.add_version(new_job(0))
    desk.add_version(new_job(0), new_job(1))
    done = mail("bob@example.org", version_id=first, attach_jobs_csv=False)
    assert (done.version_id, done.version_number) == (first, 1)
    assert not message_of(transport.sent[0]).is_multipart()


def test_all_bad_addresses_are_named_at_once(
    desk: Desk, mail: Callable[..., Emailed], transport: RecordingTransport
) -> None:
    desk.add_version()
    with pytest.raises(MailerError) as error:
        mail("bob", "fine@example.org", "carol@", "x@example.org\r\nBcc: y@example.org")
    for value in ("“bob”", "“carol@”", "a line break"):
        assert value in error.value.message
    with pytest.raises(MailerError, match="needs a recipient"):
        mail()
    assert transport.sent == []
    assert desk.audit() == []


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        ("${global::club} <office@example.org>", '"Club, e.V." <office@example.org>'),
        ({"email": "${global::box}@example.org"}, "post@example.org"),
    ],
)
def test_the_sender_may_use_global_values(
    desk: Desk,
    mail: Callable[..., Emailed],
    transport: RecordingTransport,
    sender: object,
    shown: str,
) -> None:
    desk.add_version(config=with_sender(sender))
    mail("bob@example.org")
    assert message_of(transport.sent[0])["From"] == shown


def with_sender(sender: object) -> dict[str, Any]:
    return CONFIG | {
        "fields": [
            {"name": "club", "scope": "global"},
            {"name": "box", "scope": "global"},
            {"name": "who", "scope": "local"},
        ],
        "global_values": {"club": "Club, e.V.", "box": "post"},
        "recipients": {"from": sender} if sender else {},
    }


@pytest.mark.parametrize(
    ("sender", "message"),
    [
        (None, "names no sender"),
        ("${local::who}@example.org", "not one sender"),
        ("${global::nothing}@example.org", "not one sender"),
        ("nobody", "not one sender"),
        ("${global::club}@example.org", "not usable"),
    ],
)
def test_without_a_sender_there_is_no_report(
    desk: Desk,
    mail: Callable[..., Emailed],
    transport: RecordingTransport,
    sender: object,
    message: str,
) -> None:
    desk.add_version(config=with_sender(sender))
    with pytest.raises(ConfigurationError, match=message):
        mail("bob@example.org")
    assert transport.sent == []


def test_a_name_with_a_line_break_makes_no_header(
    desk: Desk, mail: Callable[..., Emailed], transport: RecordingTransport
) -> None:
    desk.add_version()
    with desk.sessions() as session:
        campaigns.get(session, desk.tenant_id, desk.campaign_id).name = "A\r\nBcc: x@example.org"
        session.commit()
    mail("bob@example.org")
    message = message_of(transport.sent[0])
    assert message["Bcc"] is None
    assert message["Subject"] == "Report: A  Bcc: x@example.org, version 1"


def test_too_large_a_report_is_refused_with_the_way_out(
    desk: Desk, new_job: Make, mail: Callable[..., Emailed]
) -> None:
    config = CONFIG | {"delivery": {"max_message_bytes": 5000}}
    desk.add_version(*(new_job(n) for n in range(100)), config=config)
    with pytest.raises(MailerError, match="max_message_bytes") as error:
        mail("bob@example.org")
    assert error.value.hint.startswith("Leave the table of jobs out")
    assert mail("bob@example.org", attach_jobs_csv=False).size < 5000


def test_a_refused_recipient_is_named_and_nothing_sent(
    desk: Desk, mail: Callable[..., Emailed]
) -> None:
    desk.add_version()
    refusing = RecordingTransport(refuse={"carol@example.org": Reply(550, "5.1.1 no such user")})
    with pytest.raises(MailerError, match="was not sent") as error:
        mail("bob@example.org", "carol@example.org", through=refusing)
    assert "carol@example.org: 550 5.1.1 no such user" in error.value.message
    assert "bob@example.org" not in error.value.message
    (entry,) = desk.audit()
    assert entry.action == "report.email_failed"
    assert entry.details["outcome"] == "refused"


class Lost:
    """A transport whose answer to the dot never comes."""

    def __init__(self) -> None:
        self.closed = False

    def stage(self, envelope: Envelope, size: int, chunks: Iterable[bytes]) -> Staged:
        return Staged(())

    def finish(self) -> Reply:
        raise TransportFailure(Stage.DOT, "the connection broke")

    def abort(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def test_a_lost_answer_is_said_and_written_down(desk: Desk, mail: Callable[..., Emailed]) -> None:
    desk.add_version()
    lost = Lost()
    with pytest.raises(MailerError, match="may have arrived, or may not: the connection broke"):
        mail("bob@example.org", through=lost)
    assert lost.closed
    (entry,) = desk.audit()
    assert (entry.action, entry.details["outcome"]) == ("report.emailed", "unknown")


def test_reports_need_their_own_scope_and_tenant(
    desk: Desk, mail: Callable[..., Emailed], transport: RecordingTransport, stranger: Desk
) -> None:
    desk.add_version()
    with pytest.raises(AccessDenied):
        mail("bob@example.org", scope=Scope.CAMPAIGN_READ)
    with pytest.raises(NotFound):
        mail("bob@example.org", who=stranger)
    assert transport.sent == []


# -- a real server


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("script", "kept", "error"),
    [
        ({}, 1, None),
        ({"DOT": ["554 5.7.1 spam"]}, 0, "was not sent: 554 5.7.1 spam"),
        ({"DOT": [DROP]}, 0, "may have arrived"),
        ({"DOT": [KEEP_AND_DROP]}, 1, "may have arrived"),
        ({"DOT": [GARBAGE]}, 0, "may have arrived"),
        ({"MAIL": [BUSY]}, 0, "was not sent"),
    ],
)
def test_over_the_wire(
    desk: Desk,
    mail: Callable[..., Emailed],
    start_smtp: Callable[..., SmtpServer],
    script: dict[str, Any],
    kept: int,
    error: str | None,
) -> None:
    desk.add_version()
    server = start_smtp(script=script)
    through = SmtpTransport(ServerAccess(server.host, server.port, Security.PLAIN))
    if error is None:
        done = mail("bob@example.org", through=through)
        assert done.reply.startswith("250 ")
        assert server.messages[0].recipients == ("bob@example.org",)
    else:
        with pytest.raises(MailerError, match=error):
            mail("bob@example.org", through=through)
    assert len(server.messages) == kept
    assert server.violations == []
