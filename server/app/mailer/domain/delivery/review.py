"""What a person may decide about one entry or message, and why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.mailer.domain.delivery.job import (
    Cause,
    Decision,
    Event,
    SendStatus,
    allowed_events,
    queueable,
    sources_of,
)
from app.mailer.domain.errors import Conflict
from app.mailer.domain.issues import EntryState

#: What a person may do about a message that was queued once; each needs a reason.
PERSONS_EVENTS = (Event.RETRY, Event.ASSUME_SENT, Event.RESEND, Event.CANCEL)

RESEND_WARNING = (
    "Each of these messages may already have arrived; its recipient may now get it a second time."
)

_ELSEWHERE = "another version of this campaign sent it, or is sending it"
_EXCLUDABLE = frozenset({EntryState.READY, EntryState.WARNING, EntryState.NEEDS_REVIEW})


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one job stands. `sent_elsewhere`: another version sent the entry, or is sending it."""

    entry_id: str
    build: EntryState
    decision: Decision | None
    send: SendStatus
    sent_elsewhere: bool = False


class Refused(Conflict):
    """Something that was asked for is not possible, so nothing was done.

    `refused` has each entry in the way, and why.
    """

    def __init__(self, what: str, refused: Mapping[str, str], hint: str = "") -> None:
        reasons: dict[str, list[str]] = {}
        for entry, why in refused.items():
            reasons.setdefault(why, []).append(entry)
        named = "; ".join(f"{', '.join(entries)} ({why})" for why, entries in reasons.items())
        super().__init__(f"Nothing was done: these entries cannot be {what}: {named}.", hint)
        self.refused = dict(refused)


def why_not_decided(job: Standing, decision: Decision) -> str | None:
    """Why nobody may accept or exclude the entry, or None where they may.

    What needs a review may be accepted; what is not blocked may be excluded, and an exclusion
    taken back. Once it is queued, it is too late for both.
    """
    if job.send not in sources_of(Event.QUEUE):
        return f"it is {_words(job.send)} already"
    if job.build is EntryState.BLOCKED:
        if decision is Decision.EXCLUDE:
            return "it is blocked, so it is left out already"
        return "it is blocked, and nobody can accept that: mend it in a new version"
    if job.build not in _EXCLUDABLE:
        return f"it is {job.build.value}"
    if (
        decision is Decision.ACCEPT
        and job.build is not EntryState.NEEDS_REVIEW
        and job.decision is not Decision.EXCLUDE
    ):
        return f"it is {job.build.value} and needs no decision"
    return None


def why_not_queued(job: Standing, *, include_warnings: bool) -> str | None:
    """Why the message may not be queued, or None where it may."""
    if job.send not in sources_of(Event.QUEUE):
        return f"it is {_words(job.send)} already"
    if not queueable(job.build, job.decision, include_warnings=include_warnings):
        if job.decision is Decision.EXCLUDE:
            return "somebody excluded it"
        if job.build is EntryState.NEEDS_REVIEW:
            return "it needs a decision"
        if job.build is EntryState.WARNING:
            return "it has warnings, and those are left out"
        return f"it is {job.build.value}"
    if job.sent_elsewhere:
        return _ELSEWHERE
    return None


def why_not_moved(job: Standing, event: Event) -> str | None:
    """Why a person may not cause `event`, or None where they may."""
    if job.send not in sources_of(event):
        allowed = allowed_events(job.send, Cause.PERSON).intersection(PERSONS_EVENTS)
        names = ", ".join(sorted(each.value for each in allowed)) or "nothing"
        return f"it is {_words(job.send)}; possible now: {names}"
    if event in (Event.RETRY, Event.RESEND) and job.sent_elsewhere:
        return _ELSEWHERE
    return None


def allowed_actions(job: Standing) -> tuple[Decision | Event, ...]:
    """What a person can do about the job as it stands and has not done already."""
    decisions = [
        decision
        for decision in Decision
        if decision is not job.decision and why_not_decided(job, decision) is None
    ]
    events = [event for event in PERSONS_EVENTS if why_not_moved(job, event) is None]
    return (*decisions, *events)


def _words(status: SendStatus) -> str:
    return status.value.replace("_", " ")
