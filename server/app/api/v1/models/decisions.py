"""What people decide about jobs, one or many, and what became of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.api.forms import form
from app.api.v1.models.number import Switch
from app.mailer.domain.delivery.job import Decision
from app.mailer.services.review import Selection, Settled

#: More than these are chosen by what they have in common.
_MOST_NAMED = 10_000
#: Entries that an answer names; the others are counted.
_MOST_TOLD = 1_000

Reason = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000, pattern=form(r"\S", "more than spaces")),
    Field(description="Why; kept with your name", examples=["Asked them by telephone."]),
]
EntryId = Annotated[str, StringConstraints(min_length=1, max_length=500)]
#: What a person may do about a message that was queued once.
PersonsEvent = Literal["retry", "cancel", "assume_sent", "resend"]

_CONFIRM = Field(
    default=False,
    description="Needed for `resend`: yes, whoever got it already may get it a second time",
)


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DecisionIn(_In):
    """Accept an entry that needs a look, or leave an entry out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"decision": "accept", "reason": "Asked them by telephone."}]
        }
    )

    decision: Decision
    reason: Reason


class ResolutionIn(_In):
    """Settle a message after it was queued."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"event": "retry", "reason": "Their server is back."}]}
    )

    event: PersonsEvent
    reason: Reason
    confirm_possible_duplicate: Switch = _CONFIRM


class _Many(_In):
    entry_ids: list[EntryId] | None = Field(
        default=None, min_length=1, max_length=_MOST_NAMED, examples=[["4711", "4712"]]
    )
    job_ids: list[UUID] | None = Field(default=None, min_length=1, max_length=_MOST_NAMED)
    version_id: UUID | None = Field(default=None, description="Null: the newest version")


class DecisionsIn(_Many):
    """Decide on many: by entries, by jobs, or all that are undecided."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "entry_ids": ["4711", "4712"],
                    "decision": "accept",
                    "reason": "Couples share one bill.",
                }
            ]
        }
    )

    all_undecided: Switch = False
    code: str | None = Field(
        default=None,
        max_length=60,
        description="With `all_undecided`: only those with such an issue (and, to accept, no other "
        "question)",
    )
    decision: Decision
    reason: Reason

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        _exactly_one(self, "all_undecided", chosen=self.all_undecided)
        if self.code is not None and not self.all_undecided:
            raise ValueError("code goes with all_undecided.")
        return self

    @property
    def selection(self) -> Selection:
        return Selection(self.entry_ids, self.code, self.job_ids)


class ResolutionsIn(_Many):
    """Settle many messages: by entries, by jobs, or all for which the event is possible."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"entry_ids": ["4711"], "event": "retry", "reason": "Their server is back."}
            ]
        }
    )

    all: Switch = False
    event: PersonsEvent
    reason: Reason
    confirm_possible_duplicate: Switch = _CONFIRM

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        _exactly_one(self, "all", chosen=self.all)
        return self

    @property
    def selection(self) -> Selection:
        return Selection(self.entry_ids, None, self.job_ids)


def _exactly_one(many: _Many, name: str, *, chosen: bool) -> None:
    if (many.entry_ids is not None) + (many.job_ids is not None) + chosen != 1:
        raise ValueError(f"Exactly one of entry_ids, job_ids and {name} says which ones.")


class LeftOut(BaseModel):
    """An entry that stays as it was."""

    entry_id: str
    why: str


class SettledOut(BaseModel):
    """What a decision did."""

    version_id: UUID
    version_number: int
    count: int = Field(description="How many entries it was done to")
    entry_ids: list[str] = Field(description=f"The first {_MOST_TOLD:,} of them")
    left_count: int
    left: list[LeftOut] = Field(description=f"The first {_MOST_TOLD:,} that were left, and why")

    @classmethod
    def of(cls, settled: Settled) -> SettledOut:
        left = list(settled.left.items())
        return cls(
            version_id=settled.version_id,
            version_number=settled.version_number,
            count=len(settled.entries),
            entry_ids=list(settled.entries[:_MOST_TOLD]),
            left_count=len(left),
            left=[LeftOut(entry_id=entry, why=why) for entry, why in left[:_MOST_TOLD]],
        )
