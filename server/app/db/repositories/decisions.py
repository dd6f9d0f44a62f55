"""Queries for what people decide: where jobs stand, and the moves that a person may cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, select, update
from sqlalchemy.orm import Session

from app.db.models import Job, JobIssue
from app.db.repositories.delivery import lock_in_order, moved
from app.db.repositories.queueing import Gate, sent_elsewhere
from app.mailer.domain.delivery.job import Event, sources_of, target_of
from app.mailer.domain.delivery.review import Standing
from app.mailer.domain.issues import EntryState, Severity

#: Parameters of one statement, which databases limit.
_CHUNK = 1000


def standing_of(
    session: Session, gate: Gate, entry_ids: Sequence[str]
) -> dict[str, tuple[UUID, Standing]]:
    """Where the jobs of some entries stand, by entry; those that the version has."""
    found: dict[str, tuple[UUID, Standing]] = {}
    for start in range(0, len(entry_ids), _CHUNK):
        found |= _standing(session, gate, Job.entry_id.in_(entry_ids[start : start + _CHUNK]))
    return found


def standing_for(session: Session, gate: Gate, event: Event) -> dict[str, tuple[UUID, Standing]]:
    """All jobs of the version that stand where `event` is legal, by entry and in order."""
    return _standing(session, gate, Job.send_status.in_(sources_of(event)))


def undecided(session: Session, gate: Gate, code: str | None) -> list[tuple[UUID, str, bool]]:
    """What still needs a decision, in order: id, entry, and whether it has another question, too.

    With `code` only entries that have an issue of it; another question is a review issue of
    another code.
    """
    conditions = [
        *_own(gate),
        Job.build_status == EntryState.NEEDS_REVIEW,
        Job.decision.is_(None),
        Job.send_status.in_(sources_of(Event.QUEUE)),
    ]
    other: ColumnElement[int] = literal(0)
    if code is not None:
        own_issue = (JobIssue.tenant_id == gate.tenant_id, JobIssue.job_id == Job.id)
        conditions.append(exists().where(*own_issue, JobIssue.code == code))
        question = and_(JobIssue.severity == Severity.REVIEW, JobIssue.code != code)
        other = case((exists().where(*own_issue, question), 1), else_=0)
    rows = session.execute(
        select(Job.id, Job.entry_id, other).where(*conditions).order_by(Job.position)
    )
    return [(job_id, entry_id, bool(question)) for job_id, entry_id, question in rows]


def move(
    session: Session,
    tenant_id: UUID,
    job_ids: Sequence[UUID],
    event: Event,
    values: Mapping[str, Any],
) -> set[UUID]:
    """Move jobs by `event`, and return those that still stood where it is legal."""
    found: set[UUID] = set()
    job_ids = sorted(job_ids)
    for start in range(0, len(job_ids), _CHUNK):
        lock_in_order(session, tenant_id, job_ids[start : start + _CHUNK])
        found |= set(
            session.scalars(
                update(Job)
                .where(
                    Job.tenant_id == tenant_id,
                    Job.id.in_(job_ids[start : start + _CHUNK]),
                    Job.send_status.in_(sources_of(event)),
                )
                .values(send_status=target_of(event), worker=None, lease_until=None, **values)
                .returning(Job.id)
                .execution_options(synchronize_session=False)
            )
        )
    return found


def entries_of(session: Session, gate: Gate, job_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The entries of some jobs, those that the version has."""
    found: dict[UUID, str] = {}
    for start in range(0, len(job_ids), _CHUNK):
        rows = session.execute(
            select(Job.id, Job.entry_id).where(
                *_own(gate), Job.id.in_(job_ids[start : start + _CHUNK])
            )
        )
        found.update((job_id, entry_id) for job_id, entry_id in rows)
    return found


def cancel_all(session: Session, tenant_id: UUID, campaign_id: UUID) -> int:
    """Cancel every job of a campaign that can be; how many they were."""
    waiting = (
        Job.tenant_id == tenant_id,
        Job.campaign_id == campaign_id,
        Job.send_status.in_(sources_of(Event.CANCEL)),
    )
    # First locked, in the order in which others lock many, so that nobody waits in a circle. In a
    # statement of its own: as a condition of the update, Postgres may do it anew for every row.
    in_order = select(Job.id).where(*waiting).order_by(Job.id).with_for_update()
    session.scalar(select(func.count()).select_from(in_order.subquery()))
    return moved(
        session.execute(
            update(Job)
            .where(*waiting)
            .values(send_status=target_of(Event.CANCEL), worker=None, lease_until=None, due_at=None)
            .execution_options(synchronize_session=False)
        )
    )


def _standing(
    session: Session, gate: Gate, condition: ColumnElement[bool]
) -> dict[str, tuple[UUID, Standing]]:
    elsewhere = case((sent_elsewhere(gate), 1), else_=0)
    rows = session.execute(
        select(Job.id, Job.entry_id, Job.build_status, Job.decision, Job.send_status, elsewhere)
        .where(*_own(gate), condition)
        .order_by(Job.position)
    )
    return {
        entry_id: (job_id, Standing(entry_id, build, decision, send, bool(sent)))
        for job_id, entry_id, build, decision, send, sent in rows
    }


def _own(gate: Gate) -> tuple[ColumnElement[bool], ...]:
    return (Job.tenant_id == gate.tenant_id, Job.version_id == gate.version_id)
