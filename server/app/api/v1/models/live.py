"""What the API says of a campaign that is being sent."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.mailer.domain.delivery.figures import Figures
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.delivery.live import MEANING, LiveState

Counts = dict[str, int]
_STATES = " ".join(f"`{state}`: {meaning}" for state, meaning in MEANING.items())


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LiveVersionOut(_Out):
    """One version's letters."""

    id: UUID
    number: int
    mode: str
    workflow_state: str
    letters: Counts = Field(description="By send status")


class LiveLimitOut(_Out):
    """One limit, and how it stands; null: none of that kind, or only the sender itself knows."""

    of: str = Field(description="`account` or `campaign`", examples=["account"])
    name: str = Field(examples=["Office"])
    per_minute: float | None = Field(description="Allowed")
    per_hour: int | None = Field(description="Allowed")
    per_day: int | None = Field(description="Allowed")
    pace_per_minute: float | None = Field(description="Letters a minute that it lets through now")
    share: float | None = Field(
        description="Which part of the pace is used now; less than 1 after the server complained"
    )
    wait_seconds: float | None = Field(description="Until the next letter may leave")
    this_hour: int | None = Field(description="Used of `per_hour`")
    today: int | None = Field(description="Used of `per_day`, in the last 24 hours")
    connections: int | None = Field(description="To the server, open now")


class LiveErrorOut(_Out):
    """A letter that did not go out as it should."""

    at: datetime | None
    entry: str
    version_number: int
    send_status: SendStatus
    code: int | None = Field(examples=[550])
    text: str | None = Field(description="The server's answer, else what happened")


class LiveOut(_Out):
    """A campaign at one moment; counts are of all its built versions together."""

    at: datetime
    campaign_id: UUID
    external_id: str
    name: str
    state: LiveState = Field(description=_STATES)
    text: str = Field(description="The same as a sentence, with who, when and why")
    until: datetime | None = Field(description="When `state` changes, where that is known")
    is_over: bool = Field(description="Nothing is left to happen by itself")
    letters: Counts = Field(description="By send status", examples=[{"queued": 40, "sent": 60}])
    newest: LiveVersionOut | None = Field(description="The newest built version alone")
    sent: int
    remaining: int = Field(description="Letters that something is still to be done with")
    failed: int
    in_doubt: int
    per_second_10: float | None = Field(
        description="Letters a second, in the last ten seconds; null: not known yet"
    )
    per_second_60: float | None = Field(description="In the last minute")
    expected_end: datetime | None
    expected_from: Annotated[
        str | None, Field(description="`pace` or `limits`: what `expected_end` comes from")
    ]
    no_end_reason: str | None = Field(description="Why there is no `expected_end`")
    next_due_at: datetime | None = Field(description="Of the letters that nobody holds")
    limits: list[LiveLimitOut]
    copies: Counts = Field(
        description="In the Sent folder, by state", examples=[{"pending": 0, "appended": 60}]
    )
    errors: list[LiveErrorOut] = Field(description="The last ten, the last first")

    @classmethod
    def of(cls, figures: Figures) -> LiveOut:
        return cls.model_validate(figures)
