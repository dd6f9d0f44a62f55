"""The review gate as SQL: which jobs of a version may be queued, and why the others may not."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CursorResult,
    and_,
    case,
    cast,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from app.db.models import CampaignVersion, Job
from app.mailer.domain.delivery.job import (
    REACHED,
    Decision,
    Event,
    queueable,
    sources_of,
    target_of,
)
from app.mailer.domain.delivery.sample import Chosen, Random, Sample, lots, rank
from app.mailer.domain.issues import EntryState


@dataclass(frozen=True, slots=True)
class Gate:
    """Whose jobs are let through, and how strictly."""

    tenant_id: UUID
    campaign_id: UUID
    version_id: UUID
    include_warnings: bool
    #: Leave out entries that another version of the campaign sent or is sending.
    leave_out_sent: bool
    #: Of those only some; the seed of a random sample is given.
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many jobs are not queued, each counted once, by the first reason that applies."""

    already_queued: int
    already_sent: int
    needs_review: int
    warnings_left_out: int
    blocked: int
    excluded: int
    inactive: int
    not_in_sample: int


def count(session: Session, gate: Gate) -> int:
    """How many jobs `queue` would queue."""
    return session.scalar(select(func.count()).select_from(Job).where(*passes(gate))) or 0


def queue(session: Session, gate: Gate, *, now: datetime, due_at: datetime) -> int:
    """Queue every job that passes the gate; how many they were."""
    result = session.execute(
        update(Job)
        .where(*passes(gate))
        .values(
            send_status=target_of(Event.QUEUE),
            queued_at=now,
            due_at=due_at,
            attempt_count=0,
            last_code=None,
            last_reply=None,
            last_error=None,
        )
        .execution_options(synchronize_session=False)
    )
    assert isinstance(result, CursorResult)
    return result.rowcount


def passes(gate: Gate) -> tuple[ColumnElement[bool], ...]:
    """Which jobs are let through."""
    everything = (*_own(gate), _passes(gate))
    if gate.sample is None:
        return everything
    return (*everything, _in_sample(gate, gate.sample))


def left_out(session: Session, gate: Gate) -> LeftOut:
    """The jobs that do not pass, by reason, in one statement."""
    reason = case(
        (Job.send_status.not_in(sources_of(Event.QUEUE)), "already_queued"),
        (Job.build_status == EntryState.INACTIVE, "inactive"),
        (
            or_(Job.build_status == EntryState.EXCLUDED, Job.decision == Decision.EXCLUDE),
            "excluded",
        ),
        (Job.build_status == EntryState.BLOCKED, "blocked"),
        (
            and_(Job.build_status == EntryState.NEEDS_REVIEW, Job.decision.is_(None)),
            "needs_review",
        ),
        (sent_elsewhere(gate), "already_sent"),
        else_="warnings_left_out",
    )
    counted = session.execute(
        select(reason, func.count())
        .select_from(Job)
        .where(*_own(gate), ~_passes(gate))
        .group_by(reason)
    )
    found = {name: number for name, number in counted}  # noqa: C416 - rows are not pairs to mypy
    if gate.sample is not None:
        found["not_in_sample"] = count(session, replace(gate, sample=None)) - count(session, gate)
    return LeftOut(**{each.name: found.get(each.name, 0) for each in fields(LeftOut)})


def _own(gate: Gate) -> tuple[ColumnElement[bool], ...]:
    return (Job.tenant_id == gate.tenant_id, Job.version_id == gate.version_id)


def _passes(gate: Gate) -> ColumnElement[bool]:
    """`queueable` for every pair of build state and decision, as a condition."""
    pairs = [
        and_(
            Job.build_status == build,
            # Never unknown, as `=` is for NULL: `left_out` negates this.
            Job.decision.is_not_distinct_from(decision),
        )
        for build in EntryState
        for decision in (None, *Decision)
        if queueable(build, decision, include_warnings=gate.include_warnings)
    ]
    return and_(
        Job.send_status.in_(sources_of(Event.QUEUE)),
        Job.sha256.is_not(None),
        or_(*pairs),
        ~sent_elsewhere(gate),
    )


def _in_sample(gate: Gate, sample: Sample) -> ColumnElement[bool]:
    if isinstance(sample, Chosen):
        return Job.entry_id.in_(sample.entry_ids)
    order: ColumnElement[int] = Job.position.expression
    if isinstance(sample, Random):
        assert sample.seed is not None
        drawn = lots(gate.version_id, sample.seed)
        order = rank(cast(Job.position, BigInteger), drawn)
    return Job.id.in_(
        select(Job.id)
        .where(*_own(gate), _passes(gate))
        .order_by(order)
        .limit(sample.count)
        # A sample of the version, whatever the statement around it looks at.
        .correlate(None)
    )


def sent_elsewhere(gate: Gate) -> ColumnElement[bool]:
    """Whether another version of the campaign sent a job's entry, or is sending it."""
    if not gate.leave_out_sent:
        # A condition that no row meets, where a bare false would not compile everywhere.
        return Job.id.is_(None)
    other = aliased(Job)
    return exists(
        select(other.id)
        .join(CampaignVersion, CampaignVersion.id == other.version_id)
        .where(
            other.tenant_id == gate.tenant_id,
            other.campaign_id == gate.campaign_id,
            other.entry_id == Job.entry_id,
            other.version_id != gate.version_id,
            other.send_status.in_(REACHED),
            CampaignVersion.mode == "send",
        )
    )
