"""What queueing, pausing, cancelling and filing of copies take and tell."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.api.v1.models.number import Switch
from app.api.v1.models.operations import OperationOut
from app.db.models import Campaign
from app.mailer.services.cancel_campaign import Cancelled
from app.mailer.services.queue_campaign import Queued
from app.mailer.services.reconcile import Looked

_WHY = "The figures of March are wrong."
_REASON = Field(
    default="",
    max_length=1000,
    description="Why; shown to whoever sends, and kept in the audit log",
)


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QueueIn(_In):
    """What may leave. Only what the review gate lets through ever does."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dry_run": True}]})

    version_id: UUID | None = Field(default=None, description="Null: the newest version")
    include_warnings: Switch = Field(default=True, description="Letters with warnings, too")
    again: Switch = Field(
        default=False, description="Also those who got an earlier version of the campaign"
    )
    dry_run: Switch = Field(
        default=False, description="Count, say what would refuse it, and change nothing"
    )


class ObjectionOut(BaseModel):
    """Why queueing would be refused."""

    detail: str
    hint: str = Field(description="What to do about it")


class QueuedOut(BaseModel):
    """How many jobs were queued, or would be; the others by their reason."""

    campaign_id: UUID
    version_id: UUID
    version_number: int
    dry_run: bool
    queued: int
    due_at: datetime = Field(description="From when on they may leave")
    already_queued: int
    already_sent: int = Field(description="Got an earlier version of the campaign")
    needs_review: int = Field(description="Need a decision and have none")
    warnings_left_out: int
    blocked: int
    excluded: int
    inactive: int
    paused: str | None = Field(
        description="Who holds the campaign back, and why: what is queued leaves once it is "
        "resumed. Null: nobody"
    )
    would_be_refused: list[ObjectionOut] = Field(
        description="Of a dry run: all that queueing would be refused for (409). Empty: it works"
    )

    @classmethod
    def of(cls, queued: Queued) -> QueuedOut:
        return cls(**asdict(queued))


class PauseIn(_In):
    """Why the campaign is held back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": _WHY}]})

    reason: str = _REASON


class CancelIn(_In):
    """Why the campaign is cancelled."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": _WHY}]})

    reason: str = _REASON


class PauseOut(BaseModel):
    """Whether the campaign is held back, by whom and why."""

    campaign_id: UUID
    is_paused: bool
    paused_at: datetime | None
    paused_by: str | None
    reason: str | None

    @classmethod
    def of(cls, campaign: Campaign) -> PauseOut:
        return cls(
            campaign_id=campaign.id,
            is_paused=campaign.paused_at is not None,
            paused_at=campaign.paused_at,
            paused_by=campaign.paused_by,
            reason=campaign.pause_reason,
        )


class CancelledOut(BaseModel):
    """What a cancelling did."""

    model_config = ConfigDict(from_attributes=True)

    campaign_id: UUID
    cancelled: int
    leaving: int = Field(description="The end of these may be on its way; nothing stops them")
    sent: int
    in_doubt: int

    @classmethod
    def of(cls, cancelled: Cancelled) -> CancelledOut:
        return cls.model_validate(cancelled)


class AppendSentIn(_In):
    """Which copies, and who files them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"enqueue_celery": True, "dry_run": True}]}
    )

    enqueue_celery: Switch = Field(
        default=True,
        description="Have the service file them; else they wait for `append_pending_sent`",
    )
    dry_run: Switch = Field(default=False, description="Count, and file nothing")
    include_failed: Switch = Field(default=False, description="Also those that failed before")


class AppendSentOut(BaseModel):
    """How many copies are missing, and the work that files them."""

    dry_run: bool
    wanted: int
    operation: OperationOut | None = Field(description="Null: nothing was begun")


class ReconciledOut(BaseModel):
    """What a search of the Sent folder found."""

    found: list[str] = Field(description="Entries whose letter is there, and so was sent")
    absent: int = Field(description="Looked for, and not there: that proves nothing")
    in_doubt: int = Field(description="Left, those included that were not looked for")
    stopped: str | None = Field(description="Why it ended early, null: it did not")

    @classmethod
    def of(cls, looked: Looked) -> ReconciledOut:
        return cls.model_validate(looked.as_dict())
