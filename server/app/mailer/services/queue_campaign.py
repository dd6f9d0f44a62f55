"""Queue a campaign: what may be sent becomes due, all of it or a sample, in one statement."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import CampaignVersion
from app.db.repositories import campaigns, decisions, delivery, queueing, starts, versions
from app.db.repositories.access import tenants
from app.mailer.domain.campaign import ResolvedServer
from app.mailer.domain.delivery.review import Refused, why_not_queued
from app.mailer.domain.delivery.sample import Chosen, First, Random, Sample, check_sample
from app.mailer.domain.delivery.window import first_due, planned_moment, planned_start
from app.mailer.domain.errors import Conflict, IllegalMove
from app.mailer.domain.version import VersionEvent, move
from app.mailer.ports import Clock, SecretBox
from app.mailer.services.already_sent import refuse_repeats
from app.mailer.services.approve_version import require_approval
from app.mailer.services.import_campaign import stored_campaign
from app.mailer.services.versions import built_version_of

#: Of seeds that are made: short enough to be copied by hand.
_SEEDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a queueing that was only tried out would be refused, and what to do about it."""

    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class Queued:
    """What a queueing did, or would do: jobs queued now, and the others by their reason.

    `starts_at` is set where somebody planned the start; one that is missed waits for a person.
    `seed` draws the same random sample again. `paused` says who holds the campaign back: what is
    queued leaves once it is resumed. `would_be_refused` has all that a dry run found to keep the
    real one from it.
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
    not_in_sample: int
    starts_at: datetime | None = None
    seed: int | None = None
    paused: str | None = None
    would_be_refused: list[Objection] = field(default_factory=list)

    def leaves_by(self, moment: datetime) -> bool:
        """Whether something was queued that may leave until then, as far as anybody knows now."""
        done = self.queued > 0 and not self.dry_run
        return done and self.paused is None and self.due_at <= moment


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
    sample: Sample | None = None,
    not_before: datetime | None = None,
) -> Queued:
    """Let the review gate's messages go: `ready`, `warning` unless left out, accepted ones.

    Of these only the `sample`, if there is one, and none earlier than `not_before`; queueing again
    takes the rest. An entry that an earlier version of this campaign sent, or is sending, is left
    out unless `again`. Raises `MailerError` for a sample or a moment that cannot be, and `Conflict`
    for a version that is not built; also for a draft, one that would repeat what another campaign
    queued after the build (`refuse_repeats`), or one that needs an approval and has none, and
    `Refused` with each chosen entry that may not be queued: a dry run counts all the same, and
    tells these. The caller commits.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    sample = _drawn(sample)
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
    window = stored.delivery.send_window
    moment = planned_moment(stored.delivery.not_before, not_before, now)
    due_at = first_due(window, moment, now)
    starts_at = planned_start(window, moment, now)
    gate = queueing.Gate(
        tenant_id=actor.tenant_id,
        campaign_id=campaign_id,
        version_id=version.id,
        include_warnings=include_warnings,
        # A test letter reached nobody, and may be sent as often as people like.
        leave_out_sent=version.mode == "send" and not again,
        sample=sample,
    )
    objections = _objections(
        lambda: _refuse_draft(version),
        lambda: move(version.workflow_state, VersionEvent.QUEUE),
        lambda: require_approval(session, campaign, version),
        lambda: _refuse_chosen(session, gate, version),
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
            server = stored.server
            terms = server.terms if isinstance(server, ResolvedServer) else None
            version.account_id = None if terms is None else terms.id
            _plan(session, version, starts_at, now)
    result = Queued(
        campaign_id=campaign_id,
        version_id=version.id,
        version_number=version.number,
        dry_run=dry_run,
        queued=count,
        due_at=due_at,
        starts_at=starts_at,
        seed=sample.seed if isinstance(sample, Random) else None,
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
                "sample": _told(sample),
                "not_before": None if not_before is None else not_before.isoformat(),
                "starts_at": None if starts_at is None else starts_at.isoformat(),
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


def _refuse_chosen(session: Session, gate: queueing.Gate, version: CampaignVersion) -> None:
    """Raises `Refused` with all chosen entries that cannot be queued, each with its reason."""
    if not isinstance(gate.sample, Chosen):
        return
    standing = decisions.standing_of(session, gate, gate.sample.entry_ids)
    refused: dict[str, str] = {}
    for entry in gate.sample.entry_ids:
        if entry not in standing:
            refused[entry] = f"version {version.number} has no such entry"
            continue
        _id, job = standing[entry]
        why = why_not_queued(job, include_warnings=gate.include_warnings)
        if why is not None:
            refused[entry] = why
    if refused:
        raise Refused("queued", refused, "Leave these out.")


def _drawn(sample: Sample | None) -> Sample | None:
    """The sample as it is drawn: with a seed, and each entry named once."""
    if sample is None:
        return None
    check_sample(sample)
    if isinstance(sample, Random) and sample.seed is None:
        return replace(sample, seed=secrets.randbelow(_SEEDS))
    if isinstance(sample, Chosen):
        return Chosen(tuple(dict.fromkeys(sample.entry_ids)))
    return sample


def _told(sample: Sample | None) -> dict[str, object] | None:
    match sample:
        case None:
            return None
        case First(count):
            return {"first": count}
        case Random(count, seed):
            return {"random": count, "seed": seed}
        case Chosen(entry_ids):
            return {"entries": list(entry_ids)}


def _plan(
    session: Session, version: CampaignVersion, starts_at: datetime | None, now: datetime
) -> None:
    """Have the start watched; of several that are still to come the first."""
    if starts_at is None:
        return
    before = starts.of_version(session, version.tenant_id, version.id, now)
    is_over = before is not None and before.begun
    if version.starts_at is None or is_over or starts_at < version.starts_at:
        version.starts_at = starts_at
