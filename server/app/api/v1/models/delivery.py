"""What queueing, pausing, cancelling and filing of copies take and tell."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.v1.models.moment import Moment
from app.api.v1.models.number import REALLY, Switch
from app.api.v1.models.operations import OperationOut
from app.db.models import Campaign
from app.mailer.domain.delivery.sample import MOST_CHOSEN, PRIME, Chosen, First, Random, Sample
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


_Count = Annotated[int, Field(ge=1, le=1_000_000), REALLY]


class FirstIn(_In):
    """The first ones, in the order of the source."""

    first: _Count = Field(description="How many", examples=[10])


class RandomIn(_In):
    """Some by chance."""

    random: _Count = Field(description="How many", examples=[10])
    seed: Annotated[int, Field(ge=0, lt=PRIME), REALLY] | None = Field(
        default=None,
        description="Draws the same ones of a build again; null: made, and told in the answer",
    )


class EntriesIn(_In):
    """These and no other; each has to be one that may be queued."""

    entries: list[Annotated[str, StringConstraints(min_length=1, max_length=500)]] = Field(
        min_length=1, max_length=MOST_CHOSEN, examples=[["4711", "4712"]]
    )


class QueueIn(_In):
    """What may leave. Only what the review gate lets through ever does."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"dry_run": True, "sample": {"random": 10}, "not_before": None},
            ]
        }
    )

    version_id: UUID | None = Field(default=None, description="Null: the newest version")
    include_warnings: Switch = Field(default=True, description="Letters with warnings, too")
    again: Switch = Field(
        default=False, description="Also those who got an earlier version of the campaign"
    )
    dry_run: Switch = Field(
        default=False, description="Count, say what would refuse it, and change nothing"
    )
    sample: FirstIn | RandomIn | EntriesIn | None = Field(
        default=None, description="Only some of what may be queued; null: all of it"
    )
    not_before: Moment | None = Field(
        default=None,
        description="None of these leaves earlier; later than the campaign's own `not_before`. "
        "Null: as the campaign says",
    )

    @property
    def drawn(self) -> Sample | None:
        """The sample in the words of the domain."""
        match self.sample:
            case None:
                return None
            case FirstIn(first=count):
                return First(count)
            case RandomIn(random=count, seed=seed):
                return Random(count, seed)
            case EntriesIn(entries=entries):
                return Chosen(tuple(entries))


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
    not_in_sample: int = Field(description="May be queued, and are not in the sample")
    starts_at: datetime | None = Field(
        description="The start that was planned: missed by more than an hour, it waits for a "
        "person. Null: nobody planned it"
    )
    seed: int | None = Field(description="Draws the same random sample again; null: none was")
    paused: str | None = Field(
        description="Who holds the campaign back, and why: what is queued leaves once it is "
        "resumed. Null: nobody"
    )
    would_be_refused: list[ObjectionOut] = Field(
        description="Of a dry run: all that queueing would be refused for (409). Empty: it works"
    )
    hint: str | None = Field(
        description="Where no worker could be told now; they look by themselves. Null: they know"
    )

    @classmethod
    def of(cls, queued: Queued, hint: str | None) -> QueuedOut:
        return cls(**asdict(queued), hint=hint)


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
