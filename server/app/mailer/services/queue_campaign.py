"""Queue a campaign: everything that may be sent becomes due, in one statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion
from app.db.repositories import campaigns, delivery, queueing, versions
from app.db.repositories.access import tenants
from app.mailer.domain.delivery.window import first_due
from app.mailer.domain.errors import Conflict, IllegalMove
from app.mailer.domain.version import VersionEvent, move
from app.mailer.ports import Clock, SecretBox
from app.mailer.services.already_sent import refuse_repeats
from app.mailer.services.approve_version import require_approval
from app.mailer.services.import_campaign import stored_campaign
from app.mailer.services.versions import built_version_of


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a queueing that was only tried out would be refused, and what to do about it."""

    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class Queued:
    """What a queueing did, or would do: jobs queued now, and the others by their reason.

    `paused` says who holds the campaign back: what is queued leaves once it is resumed.
    `would_be_refused` has all that a dry run found to keep the real one from it.
    """

    campaign_id: UUID
    version_id: UUID
    version_number: int
    dry_run: bool
    queued: int
    due_at: datetime
    already_queued: int
    already_sent: int
    needs_review: int
    warnings_left_out: int
    blocked: int
    excluded: int
    inactive: int
    paused: str | None = None
    would_be_refused: list[Objection] = field(default_factory=list)


def queue_campaign(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    *,
    version_id: UUID | None,
    include_warnings: bool,
    again: bool,
    dry_run: bool,
    clock: Clock,
    box: SecretBox,
) -> Queued:
    """Let the review gate's messages go: `ready`, `warning` unless left out, accepted ones.

    An entry that an earlier version of this campaign sent, or is sending, is left out unless
    `again`. Raises `Conflict` for a version that is not built; also for a draft, one that would
    repeat what another campaign queued after the build (`refuse_repeats`), or one that needs an
    approval and has none: a dry run counts all the same, and tells these. The caller commits.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    # One queueing at a time, so that neither two versions nor two campaigns send the same.
    campaigns.get(session, actor.tenant_id, campaign_id)
    if not dry_run:
        tenants.lock_tenant(session, actor.tenant_id)
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    # Never an older version than the newest, only because that one is not built yet.
    version_id = version_id or versions.newest_id(session, actor.tenant_id, campaign_id)
    # And no build of the version meanwhile, which would take from under it what it queues.
    version = built_version_of(session, actor.tenant_id, campaign_id, version_id, lock=not dry_run)
    stored = stored_campaign(version, box)
    now = clock.now()
    due_at = first_due(stored.delivery.send_window, stored.delivery.not_before, now)
    gate = queueing.Gate(
        tenant_id=actor.tenant_id,
        campaign_id=campaign_id,
        version_id=version.id,
        include_warnings=include_warnings,
        # A test letter reached nobody, and may be sent as often as people like.
        leave_out_sent=version.mode == "send" and not again,
    )
    objections = _objections(
        lambda: _refuse_draft(version),
        lambda: move(version.workflow_state, VersionEvent.QUEUE),
        lambda: require_approval(session, campaign, version),
        lambda: refuse_repeats(session, stored, gate, now),
        tell=dry_run,
    )
    pause = delivery.pause_of(session, actor.tenant_id, version.id)
    left_out = queueing.left_out(session, gate)
    if dry_run:
        count = queueing.count(session, gate)
    else:
        count = queueing.queue(session, gate, now=now, due_at=due_at)
        if count:
            version.workflow_state = move(version.workflow_state, VersionEvent.QUEUE)
    result = Queued(
        campaign_id=campaign_id,
        version_id=version.id,
        version_number=version.number,
        dry_run=dry_run,
        queued=count,
        due_at=due_at,
        paused=None if pause is None else str(pause),
        would_be_refused=objections,
        **asdict(left_out),
    )
    if not dry_run:
        log.record(
            session,
            actor,
            "campaign.queued",
            "campaign",
            campaign_id,
            {
                "version_id": str(version.id),
                "queued": count,
                "include_warnings": include_warnings,
                "again": again,
                **asdict(left_out),
            },
            now,
        )
    return result


def _objections(*checks: Callable[[], object], tell: bool) -> list[Objection]:
    """What the checks object to, all of it; unless somebody wants to be told, the first raises."""
    found = []
    for check in checks:
        try:
            check()
        except (Conflict, IllegalMove) as error:
            if not tell:
                raise
            found.append(Objection(error.message, error.hint))
    return found


def _refuse_draft(version: CampaignVersion) -> None:
    if version.mode == "draft":
        raise Conflict(
            "This version is a draft, and drafts never leave.",
            "Set `campaign.mode` to send (or test), in a new version, and build that.",
        )
