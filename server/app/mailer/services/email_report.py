"""Mail a campaign's report to colleagues; no job and no recipient of the campaign is touched."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.errors import ConfigurationError, MailerError
from app.mailer.domain.files.attachment_names import safe_filename
from app.mailer.domain.letters.compiled import TemplateTexts
from app.mailer.domain.letters.compiling import compile_campaign
from app.mailer.domain.mailbox import (
    InvalidMailbox,
    Mailbox,
    control_character,
    parse_mailbox,
)
from app.mailer.domain.mime.headers import media_type_for
from app.mailer.domain.mime.message import Attached, Draft, build_frame
from app.mailer.domain.report import summary_text, write_jobs_csv
from app.mailer.domain.templates.placeholders import Values
from app.mailer.ports import (
    Clock,
    Envelope,
    MailTransport,
    SecretBox,
    TransportFailure,
)
from app.mailer.services.build import blob_ref
from app.mailer.services.import_campaign import stored_campaign
from app.mailer.services.one_message import NotSent, send_one
from app.mailer.services.report import report_on, rows_of
from app.mailer.services.versions import version_of


@dataclass(frozen=True, slots=True)
class Post:
    """The ports that mailing a report needs.

    `connect` gives the transport of a campaign's server; a dry run's gives one that only records.
    """

    reading: sessionmaker[Session]
    sessions: sessionmaker[Session]
    clock: Clock
    box: SecretBox
    connect: Callable[[Campaign], MailTransport]


@dataclass(frozen=True, slots=True)
class Emailed:
    """The report's message as the server took it; in a dry run, as it would have been sent."""

    dry_run: bool
    campaign_id: UUID
    version_id: UUID
    version_number: int
    sender: str
    to: tuple[str, ...]
    subject: str
    message_id: str
    size: int
    attachments: tuple[str, ...]
    reply: str


def email_report(
    post: Post,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    to: Sequence[str],
    include_jobs: bool,
    attach_jobs_csv: bool,
    attach_report_json: bool,
    dry_run: bool,
) -> Emailed:
    """Send the report on a version (None: the newest) from the campaign's sender to `to`.

    `include_jobs`: the JSON report has a row for each job, too. Raises `MailerError` with all
    addresses that are wrong, `ConfigurationError` without a sender, and `MailerError` where the
    server refuses the message or its answer is lost. `dry_run` only names the audit entry:
    `post.connect` decides what is sent.
    """
    require_scope(actor, Scope.REPORTS_SEND)
    recipients = _mailboxes(to)
    now = post.clock.now()
    with post.reading() as session:
        version = version_of(session, actor.tenant_id, campaign_id, version_id)
        campaign = stored_campaign(version, post.box)
        sender = _sender(campaign)
        rows_in_json = include_jobs and attach_report_json
        report = report_on(session, version, include_jobs=rows_in_json, now=now)
        stem = safe_filename(f"{report['campaign']['external_id']}-v{version.number}")
        files: dict[str, bytes] = {}
        if attach_jobs_csv:
            files[f"{stem}-jobs.csv"] = _jobs_csv(session, version)
        if attach_report_json:
            files[f"{stem}-report.json"] = orjson.dumps(report, option=orjson.OPT_INDENT_2)

    draft = Draft(
        sender=sender,
        to=recipients,
        subject=_subject(report),
        date=now,
        message_id=f"<{uuid4()}@{campaign.delivery.message_id_domain or sender.domain}>",
        text=summary_text(report),
        headers=(("Auto-Submitted", "auto-generated"),),
        attachments=tuple(
            Attached(name, media_type_for(name), blob_ref(data)) for name, data in files.items()
        ),
    )
    frame = build_frame(draft)
    _check_size(frame.size, campaign.delivery.max_message_bytes)
    blobs = {blob_ref(data): data for data in files.values()}
    chunks = list(frame.chunks(blobs.__getitem__))
    envelope = Envelope(
        sender.address, tuple(each.address for each in recipients), frame.needs_smtputf8
    )
    details = {
        "version_id": str(version.id),
        "version": version.number,
        "to": envelope.recipients,
        "message_id": draft.message_id,
        "attachments": tuple(files),
    }

    def audit(action: str, outcome: str, answer: str) -> None:
        with post.sessions() as session:
            found = {**details, "outcome": outcome, "answer": answer}
            log.record(session, actor, action, "campaign", campaign_id, found, post.clock.now())
            session.commit()

    action = "report.email_dry_run" if dry_run else "report.emailed"
    try:
        reply = send_one(post.connect(campaign), envelope, frame.size, chunks)
    except NotSent as failed:
        audit("report.email_failed", "refused", failed.reason)
        raise MailerError(
            f"The report was not sent: {failed.reason}", "Mend that, then send it again."
        ) from failed
    except TransportFailure as lost:
        # It holds people's data and may be out: the log has to say so.
        audit(action, "unknown", lost.message)
        raise MailerError(
            f"The report may have arrived, or may not: {lost.message}",
            "Ask those it was for before you send it again.",
        ) from lost
    answer = f"{reply.code} {reply.text}"
    audit(action, "accepted", answer)
    return Emailed(
        dry_run=dry_run,
        campaign_id=campaign_id,
        version_id=version.id,
        version_number=version.number,
        sender=sender.address,
        to=envelope.recipients,
        subject=draft.subject,
        message_id=draft.message_id,
        size=frame.size,
        attachments=tuple(files),
        reply=answer,
    )


def _mailboxes(to: Sequence[str]) -> tuple[Mailbox, ...]:
    """The recipients, each once; all that is wrong with them in one error."""
    found: dict[str, Mailbox] = {}
    faults: list[str] = []
    for value in to:
        try:
            mailbox = parse_mailbox(value)
        except InvalidMailbox as error:
            faults.append(str(error))
        else:
            found.setdefault(mailbox.key, mailbox)
    if faults:
        raise MailerError(f"The report has no such recipients. {' '.join(faults)}")
    if not found:
        raise MailerError("The report needs a recipient.", "Name at least one address.")
    return tuple(found.values())


def _sender(campaign: Campaign) -> Mailbox:
    """`recipients.from` of the campaign, global values in their places."""
    compiled = compile_campaign(campaign, TemplateTexts(None, None, None))
    template = compiled.from_
    if template is None:
        raise ConfigurationError("The campaign names no sender.", "Fill in `recipients.from`.")
    if template.constant is not None:
        return template.constant
    values = Values({}, compiled.global_values)
    parts = [part for part in (template.name, template.email) if part is not None]
    if template.broken or any(part.problems or part.missing(values) for part in parts):
        raise ConfigurationError(
            "`recipients.from` is not one sender for the whole campaign, so the report has none.",
            "Use an address, or placeholders of global values alone.",
        )
    name = template.name.render(values) if template.name is not None else ""
    email = template.email.render(values)
    try:
        return parse_mailbox({"email": email, "name": name} if name else email)
    except InvalidMailbox as error:
        raise ConfigurationError(f"`recipients.from` is not usable: {error}") from error


def _jobs_csv(session: Session, version: CampaignVersion) -> bytes:
    table = io.StringIO(newline="")
    # Colleagues open it in Excel, which takes UTF-8 without a mark for something else.
    write_jobs_csv(rows_of(session, version), table, bom=True)
    return table.getvalue().encode()


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise MailerError(
            f"The report is {size:,} bytes, over `delivery.max_message_bytes` ({limit:,}).",
            "Leave the table of jobs out of the mail, and get it as a file of the report.",
        )


def _subject(report: dict[str, Any]) -> str:
    campaign = report["campaign"]
    text = f"Report: {campaign['name']}, version {campaign['version_number']}"
    return "".join(" " if control_character(each) else each for each in text)
