"""The story of the example campaign: the first commands that a user types, in their order.

Checked, built, imported, reviewed, queued, sent to an SMTP server, filed in Dovecot, reported.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.scratch import Done, copy_server, point_example_at, shell
from tests.servers.certificates import Certificates
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.smtp import Received, SmtpServer

_FROM_A_FILE = {
    "resolve": r"""
python -m app.mailer.commands.resolve_attachments \
  --campaign app/mailer/examples/campaign.json \
  --verbose""",
    "resolve json": r"""
python -m app.mailer.commands.resolve_attachments \
  --campaign app/mailer/examples/campaign.json \
  --json""",
    "build": r"""
python -m app.mailer.commands.build_messages \
  --campaign app/mailer/examples/campaign.json \
  --output-dir ./build/messages \
  --verbose""",
    "build json": r"""
python -m app.mailer.commands.build_messages \
  --campaign app/mailer/examples/campaign.json \
  --json""",
    "test dry": r"""
python -m app.mailer.commands.send_test_message \
  --campaign app/mailer/examples/campaign.json \
  --to your.test.address@example.org \
  --dry-run \
  --write-eml ./build/test-message.eml""",
    "test": r"""
MULTIMAILER_SMTP_PASSWORD='...' \
python -m app.mailer.commands.send_test_message \
  --campaign app/mailer/examples/campaign.json \
  --to your.test.address@example.org \
  --smtp-host localhost \
  --smtp-port <port> \
  --smtp-security starttls \
  --smtp-username user@example.org""",
    "validate": r"""
python -m app.mailer.commands.validate_campaign \
  --campaign app/mailer/examples/campaign.json""",
    "validate files": r"""
python -m app.mailer.commands.validate_campaign \
  --campaign app/mailer/examples/campaign.json --check-files --json""",
}
_INTO_THE_DATABASE = {
    "init": "python -m app.mailer.commands.init_db --with-dev-data",
    "import": r"""
python -m app.mailer.commands.import_campaign \
  --campaign app/mailer/examples/campaign.json \
  --api-key dev-multimailer-api-key \
  --validate \
  --build""",
    "list": r"""
python -m app.mailer.commands.list_db_campaigns \
  --api-key dev-multimailer-api-key""",
    "list json": r"""
python -m app.mailer.commands.list_db_campaigns \
  --api-key dev-multimailer-api-key --json""",
}
_OUT = {
    "review": r"""
python -m app.mailer.commands.review_jobs \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key --json""",
    "accept": r"""
python -m app.mailer.commands.review_jobs \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --code duplicate-recipient --accept --reason 'One household, two members'""",
    "queue dry": r"""
python -m app.mailer.commands.queue_campaign \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --dry-run --exclude-warnings --json""",
    "queue": r"""
python -m app.mailer.commands.queue_campaign \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --no-celery""",
    "send dry": r"""
python -m app.mailer.commands.send_queued_jobs \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --dry-run""",
    "queue again": r"""
python -m app.mailer.commands.queue_campaign \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key""",
    "send three": r"""
python -m app.mailer.commands.send_queued_jobs \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --limit 3 --no-rate-limit --json""",
    "append dry": r"""
python -m app.mailer.commands.append_pending_sent \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --dry-run""",
    "append": r"""
python -m app.mailer.commands.append_pending_sent \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key""",
    "send": r"""
python -m app.mailer.commands.send_queued_jobs \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --append-sent""",
    "email dry": r"""
python -m app.mailer.commands.email_campaign_report \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --to recipient@example.org \
  --dry-run""",
    "email": r"""
python -m app.mailer.commands.email_campaign_report \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --to recipient@example.org \
  --attach-report-json""",
}
_REPORTS = {
    "report": r"""
python -m app.mailer.commands.campaign_report \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key""",
    "report json": r"""
python -m app.mailer.commands.campaign_report \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --json \
  --include-jobs""",
    "report csv": r"""
python -m app.mailer.commands.campaign_report \
  --campaign-id <campaign-db-uuid> \
  --api-key dev-multimailer-api-key \
  --jobs-csv ./build/campaign-jobs.csv""",
    "audit": r"""
python -m app.mailer.commands.audit_log \
  --api-key dev-multimailer-api-key \
  --limit 50""",
    "audit json": r"""
python -m app.mailer.commands.audit_log \
  --api-key dev-multimailer-api-key \
  --json""",
}


@dataclass
class Story:
    """Everything that happened; `before_sending` is how many letters the server had got then."""

    server: Path
    done: dict[str, Done] = field(default_factory=dict)
    letters: list[Received] = field(default_factory=list)
    reports: list[Received] = field(default_factory=list)
    trials: list[Received] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    filed: list[bytes] = field(default_factory=list)
    campaign_id: str = ""
    before_sending: int = -1
    after_three: int = -1
    filed_dry: int = -1


def tell(folder: Path, certificates: Certificates, dovecot: DovecotServer) -> Story:
    """Runs every command, in a copy of the program in `folder`."""
    story = Story(copy_server(folder))
    user = dovecot.new_user()
    users = {"user@example.org": "..."}
    with (
        SmtpServer() as smtp,
        SmtpServer(users=users, security="starttls", certificate=certificates.good) as tested,
    ):
        point_example_at(
            story.server, smtp=smtp.port, imap=dovecot.port, user=user, password=PASSWORD
        )

        def run(name: str, line: str) -> None:
            line = line.replace("<campaign-db-uuid>", story.campaign_id)
            line = line.replace("<port>", str(tested.port))
            story.done[name] = shell(line, story.server, SSL_CERT_FILE=str(certificates.authority))

        # Those that only look may do so two at a time.
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, _FROM_A_FILE, _FROM_A_FILE.values()))
        for name, line in _INTO_THE_DATABASE.items():
            run(name, line)
        story.campaign_id = story.done["list json"].json["campaigns"][0]["id"]
        for name, line in _OUT.items():
            run(name, line)
            if name == "queue again":
                story.before_sending = len(smtp.messages)
            elif name == "send three":
                story.after_three = len(smtp.messages)
            elif name == "append dry":
                story.filed_dry = len(dovecot.messages(user, "Gesendet"))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, _REPORTS, _REPORTS.values()))
        story.letters, story.reports = smtp.messages[:-1], smtp.messages[-1:]
        story.trials = tested.messages
        story.violations = smtp.violations + tested.violations
        story.filed = dovecot.messages(user, "Gesendet")
    return story
