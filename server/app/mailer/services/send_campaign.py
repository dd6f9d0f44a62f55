"""Send what a campaign has due, in this process, and take up what an interrupted run left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.repositories import campaigns, delivery, jobs, versions
from app.db.repositories.delivery import Claimed, Pause
from app.mailer.domain.delivery.job import OPEN, SendStatus
from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.domain.version import VersionEvent, move, sources_of
from app.mailer.ports import Envelope, Journal, MailTransport, StopSign
from app.mailer.services.approved_bytes import ChangedAfterBuild, approved_bytes
from app.mailer.services.engine import Engine
from app.mailer.services.line import RESUME
from app.mailer.services.missed_start import hold_missed_start
from app.mailer.services.open_lane import Outbox, open_lane, terms_of
from app.mailer.services.recovery import Recovered, recover

_PAGE = 200


@dataclass(slots=True)
class SendReport:
    """What a run did. `waiting` are still to be sent, the next of them at `next_due`."""

    dry_run: bool
    due: int = 0
    outcomes: Counter[SendStatus] = field(default_factory=Counter)
    recovered: Recovered = field(default_factory=Recovered)
    stopped: str | None = None
    hint: str = ""
    interrupted: bool = False
    waiting: int = 0
    in_doubt: int = 0
    next_due: datetime | None = None

    @property
    def has_findings(self) -> bool:
        """Whether somebody has to look: not everything that was due is sent."""
        left = self.waiting > 0 and not self.dry_run
        failed = sum(self.outcomes[each] for each in self.outcomes if each is not SendStatus.SENT)
        return bool(left or failed or self.stopped or self.interrupted or self.in_doubt)


def send_campaign(
    outbox: Outbox,
    actor: Actor,
    campaign_id: UUID,
    *,
    journal: Journal,
    limit: int | None,
    rate_limit: bool,
    stop: StopSign,
    on_start: Callable[[int], None],
    on_done: Callable[[Claimed, SendStatus], None],
) -> SendReport:
    """Send what is due of all versions of a campaign, until done or `stop` is set.

    First it cleans up after runs that died. `on_start` hears how many messages are due.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    tenant_id = actor.tenant_id
    report = SendReport(dry_run=False)
    report.recovered = recover(
        outbox.sessions,
        tenant_id,
        journal=journal,
        clock=outbox.clock,
        terms_of=lambda session, version: terms_of(session, tenant_id, version, outbox.box),
    )
    due = _due_versions(outbox, tenant_id, campaign_id)
    report.due = sum(count for _version, count in due)
    on_start(report.due if limit is None else min(limit, report.due))
    engine = Engine(outbox.gear(journal, Base64Cache()))
    left = limit
    for version_id, _count in due:
        hold_missed_start(outbox.sessions, tenant_id, version_id, outbox.clock.now())
        if (pause := _pause(outbox, tenant_id, version_id)) is not None:
            report.stopped, report.hint = str(pause), RESUME
            break
        with outbox.sessions() as session:
            lane = open_lane(outbox, session, tenant_id, version_id, rate_limit=rate_limit)
        if (opens := lane.opens()) is not None:
            report.stopped = f"The send window is closed; it opens at {opens:%Y-%m-%d %H:%M} UTC."
            break
        tally = engine.run(lane, stop=stop, limit=left, on_done=on_done)
        report.outcomes += tally.outcomes
        if left is not None:
            left -= tally.outcomes.total()
        report.stopped, report.hint = tally.stopped, tally.hint
        if report.stopped or stop.is_set() or left == 0:
            break
    report.interrupted = stop.is_set()
    try:
        _finish(outbox, actor, campaign_id, report)
    except SQLAlchemyError as error:
        # What was sent was sent, and has to be told all the same.
        report.waiting = max(0, report.due - report.outcomes.total())
        if report.stopped is None:
            report.stopped = f"The database could not be used ({type(error).__name__})."
            report.hint = "Run the same command again."
    return report


def rehearse_sending(
    outbox: Outbox,
    actor: Actor,
    campaign_id: UUID,
    transport: MailTransport,
    *,
    limit: int | None,
    on_start: Callable[[int], None],
    on_done: Callable[[Claimed, SendStatus], None],
) -> SendReport:
    """Read back every due message, prove its bytes, and hand it to a recording transport.

    Nothing is claimed, nothing changes, nobody is told. A pause is told, and does not keep from it.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    tenant_id = actor.tenant_id
    report = SendReport(dry_run=True)
    due = _due_versions(outbox, tenant_id, campaign_id)
    report.due = sum(count for _version, count in due)
    on_start(report.due if limit is None else min(limit, report.due))
    cache = Base64Cache()
    left = report.due if limit is None else min(limit, report.due)
    for version_id, _count in due:
        if (pause := _pause(outbox, tenant_id, version_id)) is not None:
            report.stopped, report.hint = str(pause), RESUME
        after = -1
        while left > 0:
            with outbox.sessions() as session:
                page = delivery.due_page(
                    session,
                    tenant_id,
                    version_id,
                    outbox.clock.now(),
                    after=after,
                    limit=min(_PAGE, left),
                )
                frames = [delivery.frame_of(session, tenant_id, job.id) for _at, job in page]
            if not page:
                break
            for (position, job), frame in zip(page, frames, strict=True):
                after = position
                left -= 1
                try:
                    chunks = approved_bytes(
                        job, frame, lambda ref: outbox.blobs.get(tenant_id, ref), cache
                    )
                except ChangedAfterBuild:
                    status = SendStatus.FAILED
                else:
                    envelope = Envelope(job.envelope_from, job.recipients, job.needs_smtputf8)
                    transport.stage(envelope, job.size, chunks)
                    transport.finish()
                    status = SendStatus.SENT
                report.outcomes[status] += 1
                on_done(job, status)
    return report


def _due_versions(outbox: Outbox, tenant_id: UUID, campaign_id: UUID) -> list[tuple[UUID, int]]:
    """The versions of a campaign that have messages due, oldest first, with how many."""
    now = outbox.clock.now()
    with outbox.sessions() as session:
        campaigns.get(session, tenant_id, campaign_id)
        found = [
            (version.id, delivery.due_count(session, tenant_id, version.id, now))
            for version in reversed(versions.of_campaign(session, tenant_id, campaign_id))
        ]
    return [(version_id, count) for version_id, count in found if count]


def _pause(outbox: Outbox, tenant_id: UUID, version_id: UUID) -> Pause | None:
    with outbox.sessions() as session:
        return delivery.pause_of(session, tenant_id, version_id)


def _finish(outbox: Outbox, actor: Actor, campaign_id: UUID, report: SendReport) -> None:
    """What is left now, the versions' states, and the audit entry."""
    now = outbox.clock.now()
    with outbox.sessions() as session:
        for version in versions.of_campaign(session, actor.tenant_id, campaign_id, lock=True):
            counts = jobs.counts(session, actor.tenant_id, version.id)
            waiting = sum(counts.send[status] for status in OPEN)
            report.waiting += waiting
            report.in_doubt += counts.send[SendStatus.IN_DOUBT]
            event = VersionEvent.SEND if waiting else VersionEvent.COMPLETE
            if version.workflow_state in sources_of(event):
                version.workflow_state = move(version.workflow_state, event)
        report.next_due = delivery.next_due(session, actor.tenant_id, campaign_id)
        if report.outcomes or report.recovered:
            log.record(
                session,
                actor,
                "campaign.sent",
                "campaign",
                campaign_id,
                {
                    "outcomes": {status.value: n for status, n in report.outcomes.items()},
                    "replayed": report.recovered.replayed,
                    "queued_again": report.recovered.queued,
                    "found_in_doubt": report.recovered.in_doubt,
                    "waiting": report.waiting,
                    "stopped": report.stopped,
                    "interrupted": report.interrupted,
                },
                now,
            )
        session.commit()
