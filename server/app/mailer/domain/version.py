"""The life of a version: from the editor by way of review and sending to the archive.

Pure values, as `delivery.job` has them for one message: the compare-and-set of every service that
moves a version is built from `MOVES`, and so are the diagram in the docs and `allowed_actions`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from app.mailer.domain.delivery.job import Cause
from app.mailer.domain.errors import IllegalMove


class WorkflowState(StrEnum):
    """How far a version is on its way from the editor to the archive."""

    EDITING = "editing"
    UNDER_REVIEW = "under_review"
    APPROVED = "approved"
    BUILT = "built"
    QUEUED = "queued"
    SENDING = "sending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ARCHIVED = "archived"


class VersionEvent(StrEnum):
    """What can happen to a version."""

    SAVE = "save"
    PUBLISH = "publish"
    REOPEN = "reopen"
    BUILD = "build"
    DISCARD = "discard"
    APPROVE = "approve"
    WITHDRAW = "withdraw"
    LAPSE = "lapse"
    QUEUE = "queue"
    SEND = "send"
    COMPLETE = "complete"
    CANCEL = "cancel"
    ARCHIVE = "archive"
    UNARCHIVE_DRAFT = "unarchive_draft"
    UNARCHIVE_BUILT = "unarchive_built"
    UNARCHIVE_COMPLETED = "unarchive_completed"
    UNARCHIVE_CANCELLED = "unarchive_cancelled"


@dataclass(frozen=True, slots=True)
class VersionMove:
    """One row of the table: `event` takes a version from `source` to `target`."""

    source: WorkflowState
    event: VersionEvent
    target: WorkflowState
    cause: Cause
    meaning: str


MEANING: dict[WorkflowState, str] = {
    WorkflowState.EDITING: "Somebody is writing it; nothing of it is built.",
    WorkflowState.UNDER_REVIEW: "Handed in for review; nobody writes in it.",
    WorkflowState.BUILT: "Every letter is frozen; what was built never changes.",
    WorkflowState.APPROVED: "Built, and somebody said yes to exactly these letters.",
    WorkflowState.QUEUED: "Letters of it wait to be sent.",
    WorkflowState.SENDING: "Letters of it are being sent.",
    WorkflowState.COMPLETED: "Nothing of it waits any more.",
    WorkflowState.CANCELLED: "Stopped before any letter left.",
    WorkflowState.ARCHIVED: "Put away with its campaign; nothing happens to it.",
}

_S, _E = WorkflowState, VersionEvent
_ENGINE, _PERSON = Cause.ENGINE, Cause.PERSON
#: Letters of it were queued once; an approval then counts for what is queued from now on.
_RELEASED = (_S.QUEUED, _S.SENDING, _S.COMPLETED, _S.CANCELLED)


def _rows(
    pairs: Iterable[tuple[WorkflowState, WorkflowState]],
    event: VersionEvent,
    cause: Cause,
    meaning: str,
) -> list[VersionMove]:
    return [VersionMove(source, event, target, cause, meaning) for source, target in pairs]


def _to(
    target: WorkflowState, *sources: WorkflowState
) -> list[tuple[WorkflowState, WorkflowState]]:
    return [(source, target) for source in sources]


_STAY = [(each, each) for each in _RELEASED]
_NO_LONGER_APPROVED = [(_S.BUILT, _S.BUILT), (_S.APPROVED, _S.BUILT), *_STAY]
_WAITING = (_S.QUEUED, _S.SENDING)
_AT_REST = [each for each in _S if each not in (*_WAITING, _S.ARCHIVED)]

MOVES: tuple[VersionMove, ...] = (
    *_rows([(_S.EDITING, _S.EDITING)], _E.SAVE, _PERSON, "A person or a program writes in it."),
    *_rows([(_S.EDITING, _S.UNDER_REVIEW)], _E.PUBLISH, _PERSON, "It is handed in for review."),
    *_rows([(_S.UNDER_REVIEW, _S.EDITING)], _E.REOPEN, _PERSON, "It is given back for writing."),
    *_rows(
        _to(_S.BUILT, _S.EDITING, _S.UNDER_REVIEW, _S.APPROVED, _S.BUILT),
        _E.BUILD,
        _PERSON,
        "Every letter is frozen (anew).",
    ),
    *_rows(
        _to(_S.EDITING, _S.BUILT, _S.APPROVED),
        _E.DISCARD,
        _ENGINE,
        "Another build begins: until it ends, nothing of it is built.",
    ),
    *_rows(
        [*_to(_S.APPROVED, _S.BUILT, _S.APPROVED), *_STAY],
        _E.APPROVE,
        _PERSON,
        "Somebody says yes to what may be queued from now on.",
    ),
    *_rows(_NO_LONGER_APPROVED, _E.WITHDRAW, _PERSON, "A yes is taken back."),
    *_rows(_NO_LONGER_APPROVED, _E.LAPSE, _ENGINE, "What would be sent changed: a yes is void."),
    *_rows(
        _to(_S.QUEUED, _S.BUILT, _S.APPROVED, *_RELEASED),
        _E.QUEUE,
        _PERSON,
        "Letters may leave (again).",
    ),
    *_rows(_to(_S.SENDING, *_WAITING), _E.SEND, _ENGINE, "Some were worked on, and some wait."),
    *_rows(_to(_S.COMPLETED, *_WAITING), _E.COMPLETE, _ENGINE, "Nothing waits any more."),
    *_rows(_to(_S.CANCELLED, *_WAITING), _E.CANCEL, _PERSON, "All that waited was cancelled."),
    *_rows(_to(_S.ARCHIVED, *_AT_REST), _E.ARCHIVE, _PERSON, "Its campaign is put away."),
    *(
        VersionMove(_S.ARCHIVED, event, target, _PERSON, "Its campaign is taken out again.")
        for event, target in (
            (_E.UNARCHIVE_DRAFT, _S.EDITING),
            (_E.UNARCHIVE_BUILT, _S.BUILT),
            (_E.UNARCHIVE_COMPLETED, _S.COMPLETED),
            (_E.UNARCHIVE_CANCELLED, _S.CANCELLED),
        )
    ),
)
_TARGETS = {(row.source, row.event): row.target for row in MOVES}


def move(source: WorkflowState, event: VersionEvent) -> WorkflowState:
    """The state after `event`; `IllegalMove` where the table has no such row."""
    target = _TARGETS.get((source, event))
    if target is None:
        raise IllegalMove(
            f"A version that is {_words(source)} cannot do this: {_words(event)}.",
            f"Possible now: {', '.join(sorted(_deeds(source))) or 'nothing'}.",
        )
    return target


def _deeds(source: WorkflowState) -> set[str]:
    """What a person can do now, in his words: out of the archive there is one way for him."""
    return {
        "unarchive" if event.value.startswith("unarchive") else _words(event)
        for event in allowed_events(source, Cause.PERSON)
    }


@cache
def sources_of(event: VersionEvent) -> frozenset[WorkflowState]:
    """The states from which `event` is legal: what a compare-and-set compares with."""
    return frozenset(row.source for row in MOVES if row.event is event)


@cache
def allowed_events(source: WorkflowState, cause: Cause | None = None) -> frozenset[VersionEvent]:
    """What may happen next, to anybody or by one cause."""
    return frozenset(
        row.event for row in MOVES if row.source is source and cause in (None, row.cause)
    )


def unarchived_by(*, built: bool, queued: bool, all_cancelled: bool) -> VersionEvent:
    """The event by which a version leaves the archive for where it stood, by what is in it.

    `queued`: a letter of it was queued once; `all_cancelled`: and all of those were cancelled.
    """
    if not built:
        return VersionEvent.UNARCHIVE_DRAFT
    if not queued:
        return VersionEvent.UNARCHIVE_BUILT
    return VersionEvent.UNARCHIVE_CANCELLED if all_cancelled else VersionEvent.UNARCHIVE_COMPLETED


def mermaid() -> str:
    """The table as a Mermaid state diagram, for `docs/states.md`; moves that stay are left out."""
    lines = ["stateDiagram-v2", "    [*] --> editing"]
    lines += [
        f"    {row.source.value} --> {row.target.value}: {row.event.value}"
        + ("" if row.cause is Cause.ENGINE else " (person)")
        for row in MOVES
        if row.source is not row.target
    ]
    return "\n".join(lines)


def _words(name: StrEnum) -> str:
    return name.value.replace("_", " ")
