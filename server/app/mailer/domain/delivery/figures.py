"""What somebody who watches a campaign is shown: values alone, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.delivery.live import Limit, LiveState

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """One version's letters, by send status."""

    id: UUID
    number: int
    mode: str
    workflow_state: str
    letters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A letter that did not go out as it should, with the server's answer or what happened."""

    at: datetime | None
    entry: str
    version_number: int
    send_status: SendStatus
    code: int | None
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A campaign at one moment. `letters` and all other counts are of all built versions together.

    `per_second_10` and `per_second_60` are the letters a second of the last ten seconds and of the
    last minute, None where that cannot be said yet. `remaining` are letters that something is still
    to be done with. Where there is no `expected_end` although letters wait, `no_end_reason` says
    why; `expected_from` is what it was worked out from, `pace` or `limits`.
    """

    at: datetime
    campaign_id: UUID
    external_id: str
    name: str
    state: LiveState
    text: str
    until: datetime | None
    is_over: bool
    letters: Mapping[str, int]
    newest: VersionFigures | None
    sent: int
    remaining: int
    failed: int
    in_doubt: int
    per_second_10: float | None
    per_second_60: float | None
    expected_end: datetime | None
    expected_from: str | None
    no_end_reason: str | None
    next_due_at: datetime | None
    limits: Sequence[Limit]
    copies: Mapping[str, int]
    errors: Sequence[Trouble]

    @property
    def still(self) -> Figures:
        """Without what changes with the clock alone: equal where nothing happened meanwhile."""
        limits = [replace(each, wait_seconds=None) for each in self.limits]
        return replace(self, at=_NEVER, limits=limits)
