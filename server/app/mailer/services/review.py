"""What only people can decide: accept or exclude entries, and settle messages that need a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion
from app.db.repositories import campaigns, decisions, jobs
from app.db.repositories.queueing import Gate
from app.mailer.domain.codes import CODES
from app.mailer.domain.delivery.job import OPEN, Decision, Event, ImapStatus, SendStatus
from app.mailer.domain.delivery.review import (
    PERSONS_EVENTS,
    Refused,
    why_not_decided,
    why_not_moved,
)
from app.mailer.domain.errors import Conflict, MailerError, NotFound
from app.mailer.domain.issues import EntryState
from app.mailer.domain.version import VersionEvent, move
from app.mailer.ports import SecretBox
from app.mailer.services.approve_version import void_outdated_approvals
from app.mailer.services.cancel_campaign import end_workflow
from app.mailer.services.import_campaign import stored_campaign
from app.mailer.services.server_access import wants_sent_copy
from app.mailer.services.versions import built_version_of

_DECIDED = {Decision.ACCEPT: "accepted", Decision.EXCLUDE: "excluded"}
_MOVED = {
    Event.RETRY: "tried again",
    Event.ASSUME_SENT: "taken as sent",
    Event.RESEND: "sent again",
    Event.CANCEL: "cancelled",
}
_DECIDABLE = (EntryState.READY, EntryState.WARNING, EntryState.NEEDS_REVIEW)


@dataclass(frozen=True, slots=True)
class Selection:
    """Entries by their ids, or by those of their jobs; with neither, all that are undecided
    (those with an issue `code`).
    """

    entry_ids: Sequence[str] | None = None
    code: str | None = None
    job_ids: Sequence[UUID] | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What a decision did. `left` are selected entries that stay as they were, and why."""

    version_id: UUID
    version_number: int
    entries: tuple[str, ...]
    left: Mapping[str, str] = field(default_factory=dict)


def decide(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    selection: Selection,
    decision: Decision,
    reason: str,
    now: datetime,
) -> Settled:
    """Accept or exclude entries, with the reason, by name of the actor. The caller commits.

    All of the named entries or none: `Refused` says of each why it cannot be decided. Accepting
    by `code` leaves out entries that raise another question as well.
    """
    require_scope(actor, Scope.CAMPAIGN_APPROVE)
    reason = _reason(reason)
    version, gate = _locked(session, actor, campaign_id, version_id)
    left: dict[str, str] = {}
    named = _entries_named(session, gate, selection)
    if named is None:
        _known_code(selection.code)
        chosen: dict[str, UUID] = {}
        for job_id, entry, other_question in decisions.undecided(session, gate, selection.code):
            if other_question and decision is Decision.ACCEPT:
                left[entry] = f"it has other questions than {selection.code}"
            else:
                chosen[entry] = job_id
    elif selection.code is not None:
        raise MailerError("Choose entries by their ids or by an issue code, not by both.")
    else:
        wanted = _named(named)
        standing = decisions.standing_of(session, gate, wanted)
        chosen = {entry: job_id for entry, (job_id, _) in standing.items()}
        refused = _unknown(wanted, chosen, version) | {
            entry: why
            for entry, (_, job) in standing.items()
            if (why := why_not_decided(job, decision))
        }
        if refused:
            raise Refused(_DECIDED[decision], refused)
    with session.begin_nested():
        took = jobs.decide(
            session,
            actor.tenant_id,
            list(chosen.values()),
            decision,
            among=_DECIDABLE,
            reason=reason,
            by=actor.name,
            now=now,
        )
        if len(took) != len(chosen):
            raise Conflict(
                "Nothing was done: the version was built or queued meanwhile.", "Look again."
            )
    void_outdated_approvals(session, actor, version, "A decision changed what is sent.", now)
    action = f"job.{_DECIDED[decision]}"
    return _settled(session, actor, version, action, chosen, left, reason, now)


def resolve(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    selection: Selection,
    event: Event,
    reason: str,
    now: datetime,
    box: SecretBox,
) -> Settled:
    """Settle messages after they were queued, with the reason. The caller commits.

    `retry` tries what failed again; `cancel` stops what has not left; `assume_sent` and `resend`
    settle what is in doubt. **With `resend` a message that did arrive arrives a second time**
    (`domain.delivery.review.RESEND_WARNING`: show it before asking for the yes).

    All of the named entries are settled or none (`Refused` says why); where none is named, all of
    the version for which `event` is legal.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    if event not in PERSONS_EVENTS:
        raise MailerError(
            f"Nobody can {event.value} a message by hand.",
            f"Possible: {', '.join(each.value for each in PERSONS_EVENTS)}.",
        )
    reason = _reason(reason)
    version, gate = _locked(
        session, actor, campaign_id, version_id, content=event is Event.ASSUME_SENT
    )
    if selection.code is not None:
        raise MailerError("An issue code chooses what to accept or exclude, and nothing else.")
    named = _entries_named(session, gate, selection)
    if named is None:
        standing = decisions.standing_for(session, gate, event)
        refused: dict[str, str] = {}
    else:
        wanted = _named(named)
        standing = decisions.standing_of(session, gate, wanted)
        refused = _unknown(wanted, standing, version)
    refused |= {
        entry: why for entry, (_, job) in standing.items() if (why := why_not_moved(job, event))
    }
    if refused and named is not None:
        raise Refused(_MOVED[event], refused)
    chosen = {entry: job_id for entry, (job_id, _) in standing.items() if entry not in refused}
    with session.begin_nested():
        moved = decisions.move(
            session,
            actor.tenant_id,
            list(chosen.values()),
            event,
            _values(version, event, actor, reason, now, box),
        )
        gone = {
            entry: "the sender was faster; look again"
            for entry, job_id in chosen.items()
            if job_id not in moved
        }
        if gone and named is not None:
            raise Refused(_MOVED[event], gone)
    chosen = {entry: job_id for entry, job_id in chosen.items() if entry not in gone}
    if chosen:
        _renew_workflow(session, version, event)
    action = f"job.{event.value}"
    return _settled(session, actor, version, action, chosen, refused | gone, reason, now)


def _values(
    version: CampaignVersion,
    event: Event,
    actor: Actor,
    reason: str,
    now: datetime,
    box: SecretBox,
) -> dict[str, Any]:
    """What else changes in a job that a person moves."""
    if event is Event.CANCEL:
        return {"due_at": None}
    if event is Event.ASSUME_SENT:
        wanted = wants_sent_copy(stored_campaign(version, box))
        return {
            "due_at": None,
            "sent_at": now,
            "imap_status": ImapStatus.PENDING if wanted else ImapStatus.NOT_REQUESTED,
            # No server said so, and the job should show it.
            "last_error": f"Taken as sent by {actor.name}: {reason}",
        }
    return {
        "queued_at": now,
        "due_at": now,
        "attempt_count": 0,
        "last_code": None,
        "last_reply": None,
        "last_error": None,
        "look_count": 0,
        "looked_at": None,
        "look_due_at": None,
    }


def _renew_workflow(session: Session, version: CampaignVersion, event: Event) -> None:
    if event in (Event.RETRY, Event.RESEND):
        version.workflow_state = move(version.workflow_state, VersionEvent.QUEUE)
    elif event is Event.CANCEL:
        counts = jobs.counts(session, version.tenant_id, version.id)
        if not any(counts.send[status] for status in OPEN):
            end_workflow(version, sent_any=counts.send[SendStatus.SENT] > 0)


def _settled(
    session: Session,
    actor: Actor,
    version: CampaignVersion,
    action: str,
    chosen: Iterable[str],
    left: Mapping[str, str],
    reason: str,
    now: datetime,
) -> Settled:
    entries = tuple(chosen)
    if entries:
        log.record(
            session,
            actor,
            action,
            "campaign",
            version.campaign_id,
            {
                "version_id": str(version.id),
                "version": version.number,
                "count": len(entries),
                "entries": entries,
                "reason": reason,
            },
            now,
        )
    return Settled(version.id, version.number, entries, left)


def _locked(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID | None,
    *,
    content: bool = False,
) -> tuple[CampaignVersion, Gate]:
    """The version; nobody else decides on, builds or queues it before the commit."""
    campaigns.lock(session, actor.tenant_id, campaign_id)
    version = built_version_of(
        session, actor.tenant_id, campaign_id, version_id, content=content, lock=True
    )
    gate = Gate(actor.tenant_id, campaign_id, version.id, True, version.mode == "send")
    return version, gate


def _reason(reason: str) -> str:
    if not reason.strip():
        raise MailerError(
            "A decision needs a reason.", "Say in a few words why; it is kept with your name."
        )
    return reason.strip()


def _entries_named(session: Session, gate: Gate, selection: Selection) -> Sequence[str] | None:
    """The entries that were named, one way or the other; `NotFound` for jobs that are not there."""
    if selection.job_ids is None:
        return selection.entry_ids
    if selection.entry_ids is not None:
        raise MailerError("Choose by entries or by jobs, not by both.")
    found = decisions.entries_of(session, gate, selection.job_ids)
    for job_id in selection.job_ids:
        if job_id not in found:
            raise NotFound(f"This version has no job {job_id}.")
    return list(found.values())


def _named(entry_ids: Sequence[str]) -> list[str]:
    wanted = list(dict.fromkeys(entry_ids))
    if not wanted:
        raise MailerError("No entry was named.", "Name entries by their ids, or choose all.")
    return wanted


def _unknown(
    wanted: Iterable[str], found: Mapping[str, object], version: CampaignVersion
) -> dict[str, str]:
    why = f"version {version.number} has no such entry"
    return {entry: why for entry in wanted if entry not in found}


def _known_code(code: str | None) -> None:
    if code is not None and code not in CODES:
        raise MailerError(
            f"There is no issue code {code!r}.", "The list of open reviews shows the codes."
        )
