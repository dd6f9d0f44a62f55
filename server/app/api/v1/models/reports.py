"""What the API says of a campaign's report."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.api.v1.models.number import Switch
from app.mailer.services.email_report import Emailed

Counts = dict[str, int]


class ReportCampaignOut(BaseModel):
    """What the report is about."""

    id: UUID
    external_id: str
    name: str
    description: str
    version_id: UUID
    version_number: int
    mode: str
    workflow_state: str
    created_at: datetime
    created_by: str
    validated_at: datetime | None
    built_at: datetime | None


class ReviewCountsOut(BaseModel):
    undecided: int
    accepted: int
    excluded: int


class RateLimitOut(BaseModel):
    """How long the rate limit makes what is left take."""

    messages_per_minute: float | None = Field(
        description="The lower of the campaign's and its mail account's. Null: no limit"
    )
    concurrency: int
    remaining: int = Field(description="Messages that are queued")
    estimated_seconds: int | None
    estimated_finish_at: datetime | None
    estimated_seconds_with_ready: int | None = Field(
        description="In case everything ready is queued now, too"
    )


class CopiesHeldOut(BaseModel):
    """What keeps workers from filing copies of the campaign's letters; these were sent."""

    until: datetime = Field(description="Then they try again")
    reason: str = Field(examples=["imap.example.org:993: the login as “ann” was refused: no."])


class SummaryOut(BaseModel):
    """The counts of one version, each job in exactly one card."""

    generated_at: datetime
    campaign: ReportCampaignOut
    cards: Counts = Field(
        description="`total`, `needs_attention` (what waits for a person), and each card; the "
        "cards add up to the total",
        examples=[{"total": 3, "needs_attention": 1, "sent": 2, "failed": 1}],
    )
    build: Counts = Field(description="By build status")
    send: Counts = Field(description="By send status")
    imap: Counts = Field(description="By the state of the copy in the Sent folder")
    copies_held: CopiesHeldOut | None
    review: ReviewCountsOut
    rate_limit: RateLimitOut
    next_due_at: datetime | None
    waiting_in_other_versions: int = Field(
        description="Letters of other versions of the campaign that still wait to be sent"
    )


class AttachmentTotalsOut(BaseModel):
    """Files as recipients see them; `bytes` before encoding."""

    messages_with_attachments: int
    files: int
    bytes: int
    distinct_files: int
    in_archives: int


class IssueCountOut(BaseModel):
    code: str = Field(examples=["missing-file"])
    severity: str = Field(examples=["block"])
    count: int
    meaning: str


class TroubleOut(BaseModel):
    """A message that did not go out as it should, with what the server said last."""

    entry: str
    to: str
    send_status: str
    code: int | None = Field(examples=[550])
    reply: str | None
    error: str | None
    message_id: str | None
    attempts: int
    look_count: int = Field(
        description="In doubt: how often it was looked for in the Sent folder and not found there"
    )
    looked_at: datetime | None = Field(description="When last")
    at: datetime | None


class InDoubtOut(BaseModel):
    count: int
    explanation: str
    jobs: list[TroubleOut] = Field(description="At most 100 of them")


class ReportVersionOut(BaseModel):
    id: UUID
    number: int
    mode: str
    workflow_state: str
    total: int
    waiting: int
    sent: int
    failed: int
    in_doubt: int


class JobRowOut(BaseModel):
    """One letter, flat: what a row of jobs.csv has."""

    entry_id: str
    pointer: str
    to: str
    subject: str
    build_status: str
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    send_status: str
    imap_status: str
    attempts: int
    last_code: int | None
    last_reply: str | None
    last_error: str | None
    queued_at: datetime | None
    sent_at: datetime | None
    message_id: str | None
    size: int | None
    sha256: str | None
    attachments: list[str]
    issues: list[str]


class ReportOut(SummaryOut):
    """Everything about one version, and a line on each other version of the campaign."""

    attachments: AttachmentTotalsOut
    issues: list[IssueCountOut]
    send_attempts: Counts
    append_attempts: Counts
    in_doubt: InDoubtOut
    recent_failures: list[TroubleOut] = Field(description="The last 20")
    versions: list[ReportVersionOut]
    jobs: list[JobRowOut] = Field(default=[], description="Only with `include_jobs`")


class EmailReportIn(BaseModel):
    """Whom the report goes to, and what goes with it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "to": ["recipient@example.org"],
                    "include_jobs": False,
                    "attach_jobs_csv": True,
                    "attach_report_json": False,
                    "dry_run": True,
                }
            ]
        },
    )

    to: list[Annotated[str, Field(min_length=1, max_length=400)]] = Field(
        min_length=1, max_length=100
    )
    include_jobs: Switch = Field(default=False, description="A row for each job in the JSON report")
    attach_jobs_csv: Switch = True
    attach_report_json: Switch = False
    dry_run: Switch = Field(default=False, description="Do everything but reach the mail server")
    version_id: UUID | None = Field(default=None, description="Default: the newest version")


class EmailedOut(BaseModel):
    """The report's message as the server took it; in a dry run, as it would have been sent."""

    dry_run: bool
    campaign_id: UUID
    version_id: UUID
    version_number: int
    sender: str
    to: list[str]
    subject: str
    message_id: str
    size: int = Field(description="Bytes of the whole message")
    attachments: list[str]
    reply: str = Field(examples=["250 OK"])

    @classmethod
    def of(cls, emailed: Emailed) -> EmailedOut:
        return cls.model_validate(emailed, from_attributes=True)
