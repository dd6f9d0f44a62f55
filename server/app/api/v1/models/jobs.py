"""What the API says of jobs: rows of lists, one job, its tries, its letter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.db.models import (
    AppendAttemptOutcome,
    AttemptOutcome,
    JobAttachment,
    JobIssue,
    SendAttempt,
)
from app.db.repositories.attempt_lists import Attempt
from app.mailer.domain.delivery.job import Decision, ImapStatus, SendStatus
from app.mailer.domain.issues import EntryState, Severity
from app.mailer.ports import Stage
from app.mailer.services.list_jobs import JobDetail, JobRow
from app.mailer.services.message_view import Preview

Action = Literal["accept", "exclude", "retry", "cancel", "assume_sent", "resend"]

_ACTIONS = Field(
    description="What you can do about it now, by its state and your scopes",
    examples=[["accept", "exclude"]],
)


class JobIssueOut(BaseModel):
    """A finding in one job."""

    id: int
    code: str = Field(examples=["missing-file"])
    severity: Severity
    pointer: str = Field(
        description="JSON Pointer into the campaign", examples=["/entries/inline/3"]
    )
    message: str
    hint: str

    @classmethod
    def of(cls, issue: JobIssue) -> JobIssueOut:
        return cls.model_validate(issue, from_attributes=True)


class AttachmentOut(BaseModel):
    """A file of a message; secret names are masked."""

    position: int = Field(description="Its number in the message; what downloads it")
    filename: str = Field(examples=["Bill_4711.pdf"])
    path: str = Field(description="Where it was found", examples=["bills/Bill_4711.pdf"])
    media_type: str = Field(examples=["application/pdf"])
    size: int = Field(description="Bytes, before they are encoded")
    sha256: str
    archive: str | None = Field(
        description="The archive that it travels in; only the archive can be downloaded"
    )
    is_personal: bool = Field(description="For this entry alone")

    @classmethod
    def of(cls, file: JobAttachment) -> AttachmentOut:
        return cls.model_validate(file, from_attributes=True)


class JobBrief(BaseModel):
    """What is shown of a job everywhere."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    version_id: UUID
    position: int = Field(description="Its place among the entries, from 0")
    entry_id: str = Field(examples=["4711"])
    to: str = Field(validation_alias="to_display", examples=["Ann Example <ann@example.org>"])
    subject: str
    build_status: EntryState
    decision: Decision | None
    send_status: SendStatus
    imap_status: ImapStatus
    size: int | None = Field(description="Bytes of the message; null: there is none")
    attempt_count: int
    due_at: datetime | None
    sent_at: datetime | None
    last_code: int | None = Field(description="The server's last reply code", examples=[550])
    last_reply: str | None
    last_error: str | None


class JobRowOut(JobBrief):
    """A job in a list."""

    issue_count: int
    issues: list[JobIssueOut] = Field(description="The first of them")
    attachment_count: int
    attachments: list[AttachmentOut] = Field(description="The first of them")
    allowed_actions: list[Action] = _ACTIONS

    @classmethod
    def of(cls, row: JobRow) -> JobRowOut:
        return cls(
            **_brief(row),
            issue_count=row.issues.count,
            issues=[JobIssueOut.of(each) for each in row.issues.first],
            attachment_count=row.files.count,
            attachments=[AttachmentOut.of(each) for each in row.files.first],
            allowed_actions=list(row.actions),
        )


class HeaderOut(BaseModel):
    """A header of the message, decoded."""

    name: str = Field(examples=["Subject"])
    value: str


class CoveringApproval(BaseModel):
    """The yes that covers the job's version."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    approved_by: str
    approved_at: datetime
    reason: str
    message_count: int
    messages_sha256: str


class JobOut(JobBrief):
    """One job, with everything but the body of its message."""

    campaign_id: UUID
    version_number: int
    pointer: str = Field(description="Where the entry stands in the campaign or its source")
    envelope_from: str | None
    recipients: list[str] = Field(description="All addresses that get it, Cc and Bcc too")
    headers: list[HeaderOut]
    message_id: str | None
    message_date: datetime | None
    sha256: str | None = Field(description="Of the bytes that leave by SMTP")
    needs_smtputf8: bool
    decision_reason: str | None
    decided_by: str | None
    decided_at: datetime | None
    queued_at: datetime | None
    first_claimed_at: datetime | None
    appended_at: datetime | None
    append_error: str | None
    append_attempt_count: int
    append_due_at: datetime | None = Field(
        description="The copy could not be filed, and is tried again then"
    )
    look_count: int = Field(
        description="In doubt: how often it was looked for in the Sent folder and not found there"
    )
    looked_at: datetime | None = Field(description="When last")
    approval: CoveringApproval | None
    issue_count: int
    issues: list[JobIssueOut] = Field(description="The first of them")
    attachments: list[AttachmentOut]
    allowed_actions: list[Action] = _ACTIONS

    @classmethod
    def of_detail(cls, detail: JobDetail) -> JobOut:
        approval = detail.approval
        return cls(
            **_brief(detail),
            **{name: getattr(detail.job, name) for name in _OF_JOB},
            version_number=detail.version.number,
            headers=[HeaderOut(name=name, value=value) for name, value in detail.headers],
            approval=None if approval is None else CoveringApproval.model_validate(approval),
            issue_count=detail.issues.count,
            issues=[JobIssueOut.of(each) for each in detail.issues.first],
            attachments=[AttachmentOut.of(each) for each in detail.files],
            allowed_actions=list(detail.actions),
        )


_OF_JOB = (
    "campaign_id",
    "pointer",
    "envelope_from",
    "recipients",
    "message_id",
    "message_date",
    "sha256",
    "needs_smtputf8",
    "decision_reason",
    "decided_by",
    "decided_at",
    "queued_at",
    "first_claimed_at",
    "appended_at",
    "append_error",
    "append_attempt_count",
    "append_due_at",
    "look_count",
    "looked_at",
)


def _brief(row: JobRow | JobDetail) -> Mapping[str, object]:
    return {
        "to_display" if name == "to" else name: value
        for name, value in JobBrief.model_validate(row.job)
    }


class RecipientReplyOut(BaseModel):
    address: str
    code: int = Field(examples=[250])
    text: str


class AttemptOut(BaseModel):
    """One try: to send the message (`send`), or to file its copy in Sent (`append`)."""

    kind: Literal["send", "append"]
    number: int
    worker: str
    began_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | AppendAttemptOutcome | None = Field(description="Null while it runs")
    stage: Stage | None = Field(description="How far the conversation with the server came")
    code: int | None = Field(examples=[250])
    reply: str | None = Field(description="What the server said, or what went wrong")
    recipients: list[RecipientReplyOut] = Field(description="The reply for each recipient")
    folder: str | None = Field(description="The folder of the copy")

    @classmethod
    def of(cls, attempt: Attempt) -> AttemptOut:
        if isinstance(attempt, SendAttempt):
            return cls(
                kind="send",
                number=attempt.number,
                worker=attempt.worker,
                began_at=attempt.claimed_at,
                ended_at=attempt.replied_at,
                outcome=attempt.outcome,
                stage=attempt.stage,
                code=attempt.code,
                reply=attempt.reply,
                recipients=[
                    RecipientReplyOut.model_validate(each)
                    for each in attempt.recipient_replies or ()
                ],
                folder=None,
            )
        return cls(
            kind="append",
            number=attempt.number,
            worker=attempt.worker,
            began_at=attempt.started_at,
            ended_at=attempt.finished_at,
            outcome=attempt.outcome,
            stage=None,
            code=None,
            reply=attempt.error,
            recipients=[],
            folder=attempt.folder,
        )


class PreviewOut(BaseModel):
    """A letter as its recipient sees it."""

    model_config = ConfigDict(populate_by_name=True)

    job_id: UUID
    entry_id: str
    sha256: str | None
    from_: str = Field(alias="from", examples=["Office <office@example.org>"])
    to: str
    cc: str
    bcc: str = Field(description="Only the copy in Sent has it")
    reply_to: str
    subject: str
    date: datetime | None
    text: str | None
    html: str | None = Field(
        description="A page that runs nothing and asks no server; as `preview.html` has it"
    )
    blocked: int = Field(
        description="How many things on other servers the page leaves out, such as images"
    )
    attachments: list[AttachmentOut]

    @classmethod
    def of(cls, preview: Preview) -> PreviewOut:
        message = preview.message
        return cls(
            job_id=preview.job.id,
            entry_id=preview.job.entry_id,
            sha256=preview.job.sha256,
            from_=message.header("From"),
            to=message.header("To"),
            cc=message.header("Cc"),
            bcc=message.bcc,
            reply_to=message.header("Reply-To"),
            subject=message.header("Subject"),
            date=preview.job.message_date,
            text=message.text,
            html=None if preview.html is None else preview.html.document,
            blocked=0 if preview.html is None else preview.html.blocked,
            attachments=[AttachmentOut.of(each) for each in preview.files],
        )
