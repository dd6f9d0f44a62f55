"""The life of one message: states, the moves between them, and who may cause each.

Pure values. The `WHERE` of every SQL statement that moves a job is built from `MOVES`
(`sources_of`), and the diagram in the docs is generated from it, so the rules stand here once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from app.mailer.domain.errors import IllegalMove
from app.mailer.domain.issues import EntryState


class SendStatus(StrEnum):
    """Where the message is on its way out. Each member's meaning is in `MEANING`."""

    UNQUEUED = "unqueued"
    QUEUED = "queued"
    CLAIMED = "claimed"
    COMMITTING = "committing"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    CANCELLED = "cancelled"


class ImapStatus(StrEnum):
    """Where the copy for the Sent folder is; never touches the send status."""

    NOT_REQUESTED = "not_requested"
    PENDING = "pending"
    APPENDED = "appended"
    FAILED = "failed"


class Decision(StrEnum):
    """What a person said of an entry that needs review."""

    ACCEPT = "accept"
    EXCLUDE = "exclude"


class Event(StrEnum):
    """What can happen to a message."""

    QUEUE = "queue"
    CLAIM = "claim"
    RELEASE = "release"
    EXPIRE_CLAIM = "expire_claim"
    COMMIT = "commit"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    GIVE_UP = "give_up"
    LOSE = "lose"
    NO_DOT = "no_dot"
    CHANGED = "changed"
    FIND_EVIDENCE = "find_evidence"
    FIND_REFUSAL = "find_refusal"
    CANCEL = "cancel"
    RETRY = "retry"
    ASSUME_SENT = "assume_sent"
    RESEND = "resend"


class Cause(StrEnum):
    """Who may cause a move: the engine, or a person (recorded with a name and a reason)."""

    ENGINE = "engine"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Move:
    """One row of the table: `event` takes a job from `source` to `target`."""

    source: SendStatus
    event: Event
    target: SendStatus
    cause: Cause


MEANING: dict[SendStatus, str] = {
    SendStatus.UNQUEUED: "Built, and not yet released for sending.",
    SendStatus.QUEUED: "May be sent as soon as it is due.",
    SendStatus.CLAIMED: "A worker is preparing to send it; the server has accepted nothing yet.",
    SendStatus.COMMITTING: "The end of the message may be on its way to the server.",
    SendStatus.SENT: "The mail server accepted the message.",
    SendStatus.DEFERRED: "The server said not now; it is tried again later.",
    SendStatus.FAILED: "The server refused it, or every try failed; the reply is kept.",
    SendStatus.IN_DOUBT: "The server may or may not have accepted it; a person decides.",
    SendStatus.CANCELLED: "A person stopped it before it left.",
}

_S, _E = SendStatus, Event
_ENGINE, _PERSON = Cause.ENGINE, Cause.PERSON

MOVES: tuple[Move, ...] = (
    Move(_S.UNQUEUED, _E.QUEUE, _S.QUEUED, _PERSON),
    Move(_S.CANCELLED, _E.QUEUE, _S.QUEUED, _PERSON),
    Move(_S.QUEUED, _E.CLAIM, _S.CLAIMED, _ENGINE),
    Move(_S.DEFERRED, _E.CLAIM, _S.CLAIMED, _ENGINE),
    # Given back untouched: nothing was said to a server, no attempt counts.
    Move(_S.CLAIMED, _E.RELEASE, _S.QUEUED, _ENGINE),
    # The worker died or froze before the dot: safe to repeat (RFC 5321, 4.1.1.10).
    Move(_S.CLAIMED, _E.EXPIRE_CLAIM, _S.QUEUED, _ENGINE),
    Move(_S.CLAIMED, _E.COMMIT, _S.COMMITTING, _ENGINE),
    # Refused or put off before the dot.
    Move(_S.CLAIMED, _E.REJECTED, _S.FAILED, _ENGINE),
    Move(_S.CLAIMED, _E.DEFERRED, _S.DEFERRED, _ENGINE),
    Move(_S.CLAIMED, _E.GIVE_UP, _S.FAILED, _ENGINE),
    # The bytes are no longer those that were approved, or cannot be read back.
    Move(_S.CLAIMED, _E.CHANGED, _S.FAILED, _ENGINE),
    # The answer to the dot.
    Move(_S.COMMITTING, _E.ACCEPTED, _S.SENT, _ENGINE),
    Move(_S.COMMITTING, _E.REJECTED, _S.FAILED, _ENGINE),
    Move(_S.COMMITTING, _E.DEFERRED, _S.DEFERRED, _ENGINE),
    Move(_S.COMMITTING, _E.GIVE_UP, _S.FAILED, _ENGINE),
    # No answer that anybody knows of.
    Move(_S.COMMITTING, _E.LOSE, _S.IN_DOUBT, _ENGINE),
    # The worker, or the journal that it left on its machine, knows that no closing dot left.
    Move(_S.COMMITTING, _E.NO_DOT, _S.QUEUED, _ENGINE),
    Move(_S.IN_DOUBT, _E.NO_DOT, _S.QUEUED, _ENGINE),
    # A reply found later in a worker's journal, or a copy found in the Sent folder.
    Move(_S.IN_DOUBT, _E.FIND_EVIDENCE, _S.SENT, _ENGINE),
    Move(_S.IN_DOUBT, _E.FIND_REFUSAL, _S.FAILED, _ENGINE),
    Move(_S.DEFERRED, _E.GIVE_UP, _S.FAILED, _ENGINE),
    Move(_S.QUEUED, _E.CANCEL, _S.CANCELLED, _PERSON),
    Move(_S.CLAIMED, _E.CANCEL, _S.CANCELLED, _PERSON),
    Move(_S.DEFERRED, _E.CANCEL, _S.CANCELLED, _PERSON),
    Move(_S.FAILED, _E.RETRY, _S.QUEUED, _PERSON),
    Move(_S.IN_DOUBT, _E.ASSUME_SENT, _S.SENT, _PERSON),
    Move(_S.IN_DOUBT, _E.RESEND, _S.QUEUED, _PERSON),
)

_TARGETS = {(row.source, row.event): row.target for row in MOVES}

#: Nothing more happens to these unless a person asks.
SETTLED = frozenset({_S.SENT, _S.FAILED, _S.IN_DOUBT, _S.CANCELLED})
#: The engine still has to do something with these.
OPEN = frozenset({_S.QUEUED, _S.CLAIMED, _S.COMMITTING, _S.DEFERRED})
#: The recipient has the message, may have it, or is about to.
REACHED = frozenset({_S.SENT, _S.IN_DOUBT}) | OPEN


def move(source: SendStatus, event: Event) -> SendStatus:
    """The state after `event`; `IllegalMove` where the table has no such row."""
    target = _TARGETS.get((source, event))
    if target is None:
        raise IllegalMove(
            f"A message that is {source.value} cannot {event.value.replace('_', ' ')}.",
            f"Allowed now: {', '.join(sorted(allowed_events(source))) or 'nothing'}.",
        )
    return target


@cache
def sources_of(event: Event) -> frozenset[SendStatus]:
    """The states from which `event` is legal: what a compare-and-set compares with."""
    return frozenset(row.source for row in MOVES if row.event is event)


@cache
def target_of(event: Event) -> SendStatus:
    """Where `event` leads, whatever the source; each event has exactly one target."""
    targets = {row.target for row in MOVES if row.event is event}
    (target,) = targets
    return target


@cache
def allowed_events(source: SendStatus, cause: Cause | None = None) -> frozenset[Event]:
    """What may happen next, to anybody or by one cause."""
    return frozenset(
        row.event for row in MOVES if row.source is source and cause in (None, row.cause)
    )


def queueable(
    build: EntryState, decision: Decision | None, *, include_warnings: bool = True
) -> bool:
    """The review gate: may a message of this build state be queued?

    `ready` always, `warning` unless left out, `needs_review` only once a person accepted it. A
    person may exclude any of them; nobody can accept what is blocked.
    """
    if decision is Decision.EXCLUDE:
        return False
    if build is EntryState.READY:
        return True
    if build is EntryState.WARNING:
        return include_warnings
    return build is EntryState.NEEDS_REVIEW and decision is Decision.ACCEPT


def mermaid(moves: Iterable[Move] = MOVES) -> str:
    """The table as a Mermaid state diagram, for `docs/states.md`."""
    lines = ["stateDiagram-v2", "    [*] --> unqueued"]
    lines += [
        f"    {row.source.value} --> {row.target.value}: {row.event.value}"
        + ("" if row.cause is Cause.ENGINE else " (person)")
        for row in moves
    ]
    return "\n".join(lines)
