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
from app.db.models import CampaignVersion, Job, JobAttachment, JobIssue, WorkflowState
from app.db.repositories import campaigns, decisions, issues, jobs
from app.db.repositories.queueing import Gate
from app.mailer.domain.codes import CODES
from app.mailer.domain.delivery.job import OPEN, Decision, Event, ImapStatus, SendStatus
from app.mailer.domain.delivery.review import (
    PERSONS_EVENTS,
    Refused,
    why_not_decided,
    why_not_moved,
)
from app.mailer.domain.errors import Conflict, MailerError
from app.mailer.domain.issues import EntryState
from app.mailer.ports import SecretBox
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
class ReviewPage:
    """Entries that wait for a decision, ready for JSON; `next_after` asks for the next page.

    `undecided` counts all of them, not only those of this page.
    """

    version_id: UUID
    version_number: int
    undecided: int
    reviews: list[dict[str, Any]]
    next_after: int | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Entries by their ids or, with None, all that are undecided (those with an issue `code`)."""

    entry_ids: Sequence[str] | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """What a decision did. `left` are selected entries that stay as they were, and why."""

    version_id: UUID
    version_number: int
    entries: tuple[str, ...]
    left: Mapping[str, str] = field(default_factory=dict)


def open_reviews(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    after: int = -1,
    limit: int = 100,
) -> ReviewPage:
    """The next `limit` entries behind position `after` that need a decision."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    tenant_id = actor.tenant_id
    version = built_version_of(session, tenant_id, campaign_id, version_id)
    page = jobs.page(
        session,
        tenant_id,
        version.id,
        after=after,
        limit=limit,
        build_status=[EntryState.NEEDS_REVIEW],
        undecided=True,
    )
    ids = [job.id for job in page]
    found = issues.of_jobs(session, tenant_id, ids)
    files = jobs.attachments_of(session, tenant_id, ids)
    return ReviewPage(
        version.id,
        version.number,
        jobs.counts(session, tenant_id, version.id).undecided,
        [_review(job, found[job.id], files[job.id]) for job in page],
        page[-1].position if len(page) == limit else None,
    )


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
    if selection.entry_ids is None:
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
        wanted = _named(selection.entry_ids)
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
    action = f"job.{_DECIDED[decision]}"
    return _settled(session, actor, version, action, chosen, left, reason, now)


def resolve(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    entry_ids: Sequence[str] | None,
    event: Event,
    reason: str,
    now: datetime,
    box: SecretBox,
) -> Settled:
    """Settle messages after they were queued, with the reason. The caller commits.

    `retry` tries what failed again; `cancel` stops what has not left; `assume_sent` and `resend`
    settle what is in doubt. **With `resend` a message that did arrive arrives a second time**
    (`domain.delivery.review.RESEND_WARNING`: show it before asking for the yes).

    With `entry_ids` all of them are settled or none (`Refused` says why); with None all of the
    version for which `event` is legal.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    if event not in PERSONS_EVENTS:
        raise MailerError(
            f"Nobody can {event.value} a message by hand.",
            f"Possible: {', '.join(each.value for each in PERSONS_EVENTS)}.",
        )
    reason = _reason(reason)
    version, gate = _locked(session, actor, campaign_id, version_id)
    if entry_ids is None:
        standing = decisions.standing_for(session, gate, event)
        refused: dict[str, str] = {}
    else:
        wanted = _named(entry_ids)
        standing = decisions.standing_of(session, gate, wanted)
        refused = _unknown(wanted, standing, version)
    refused |= {
        entry: why for entry, (_, job) in standing.items() if (why := why_not_moved(job, event))
    }
    if refused and entry_ids is not None:
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
        if gone and entry_ids is not None:
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
    }


def _renew_workflow(session: Session, version: CampaignVersion, event: Event) -> None:
    if event in (Event.RETRY, Event.RESEND):
        version.workflow_state = WorkflowState.QUEUED
    elif event is Event.CANCEL:
        counts = jobs.counts(session, version.tenant_id, version.id)
        if not any(counts.send[status] for status in OPEN):
            sent = counts.send[SendStatus.SENT]
            version.workflow_state = WorkflowState.COMPLETED if sent else WorkflowState.CANCELLED


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
    session: Session, actor: Actor, campaign_id: UUID, version_id: UUID | None
) -> tuple[CampaignVersion, Gate]:
    """The version; nobody else decides on or queues the campaign before the commit."""
    campaigns.lock(session, actor.tenant_id, campaign_id)
    version = built_version_of(session, actor.tenant_id, campaign_id, version_id)
    gate = Gate(actor.tenant_id, campaign_id, version.id, True, version.mode == "send")
    return version, gate


def _reason(reason: str) -> str:
    if not reason.strip():
        raise MailerError(
            "A decision needs a reason.", "Say in a few words why; it is kept with your name."
        )
    return reason.strip()


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


def _review(job: Job, found: Sequence[JobIssue], files: Sequence[JobAttachment]) -> dict[str, Any]:
    return {
        "entry_id": job.entry_id,
        "pointer": job.pointer,
        "to": job.to_display,
        "subject": job.subject,
        "size": job.size,
        "sha256": job.sha256,
        "issues": [
            {
                "code": issue.code,
                "severity": issue.severity.value,
                "pointer": issue.pointer,
                "message": issue.message,
                "hint": issue.hint,
            }
            for issue in found
        ],
        "attachments": [
            {
                "rule": file.rule,
                "path": file.path,
                "filename": file.filename,
                "archive": file.archive,
                "size": file.size,
                "sha256": file.sha256,
            }
            for file in files
        ],
    }
