"""What only people decide about jobs: before they are queued, and when something went wrong."""

from __future__ import annotations

from uuid import UUID

from app.access.actor import Actor
from app.api.access import CurrentActor
from app.api.errors import ApiError
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.decisions import (
    DecisionIn,
    DecisionsIn,
    ResolutionIn,
    ResolutionsIn,
    SettledOut,
)
from app.bootstrap.program import Program
from app.mailer.domain.delivery.job import Decision, Event
from app.mailer.domain.delivery.review import RESEND_WARNING
from app.mailer.services.list_jobs import version_of_job
from app.mailer.services.review import Selection, decide, resolve
from app.mailer.services.ring import ring_for_sending

routes = router("jobs", "/campaigns/{campaign_id}/jobs")


@routes.post("/decisions")
def decide_jobs(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID, body: DecisionsIn
) -> SettledOut:
    """Accept or exclude many entries. Of those that are named all or none; 409 says why."""
    return _decide(
        program, actor, campaign_id, body.version_id, body.selection, body.decision, body.reason
    )


@routes.post("/{job_id}/decision")
def decide_job(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID, job_id: UUID, body: DecisionIn
) -> SettledOut:
    """Accept or exclude one entry."""
    version_id = _version_of(program, actor, campaign_id, job_id)
    selection = Selection(job_ids=[job_id])
    return _decide(program, actor, campaign_id, version_id, selection, body.decision, body.reason)


@routes.post("/resolve")
def resolve_jobs(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID, body: ResolutionsIn
) -> SettledOut:
    """Settle many messages: try again what failed, stop what waits, settle what is in doubt.

    Of those that are named all or none; 409 says why. 422 `possible-duplicate` asks for the yes
    that `resend` needs.
    """
    return _resolve(program, actor, campaign_id, body.version_id, body.selection, body)


@routes.post("/{job_id}/resolve")
def resolve_job(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID, job_id: UUID, body: ResolutionIn
) -> SettledOut:
    """Settle one message. 422 `possible-duplicate` asks for the yes that `resend` needs."""
    version_id = _version_of(program, actor, campaign_id, job_id)
    return _resolve(program, actor, campaign_id, version_id, Selection(job_ids=[job_id]), body)


def _version_of(program: Program, actor: Actor, campaign_id: UUID, job_id: UUID) -> UUID:
    with program.reading() as session:
        return version_of_job(session, actor, campaign_id, job_id)


def _decide(
    program: Program,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID | None,
    selection: Selection,
    decision: Decision,
    reason: str,
) -> SettledOut:
    with program.sessions() as session:
        settled = decide(
            session,
            actor,
            campaign_id,
            version_id=version_id,
            selection=selection,
            decision=decision,
            reason=reason,
            now=program.clock.now(),
        )
        session.commit()
    return SettledOut.of(settled)


def _resolve(
    program: Program,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID | None,
    selection: Selection,
    body: ResolutionIn | ResolutionsIn,
) -> SettledOut:
    with program.sessions() as session:
        settled = resolve(
            session,
            actor,
            campaign_id,
            version_id=version_id,
            selection=selection,
            event=Event(body.event),
            reason=body.reason,
            now=program.clock.now(),
            box=program.box,
        )
        if settled.entries and body.event == "resend" and not body.confirm_possible_duplicate:
            # Undone with the session. Asked last, so that nobody says yes to what cannot be.
            raise ApiError(
                422,
                "possible-duplicate",
                RESEND_WARNING,
                "To do it all the same, send confirm_possible_duplicate: true.",
            )
        session.commit()
    if settled.entries and body.event in ("retry", "resend"):
        ring_for_sending(program.bell, actor.tenant_id, settled.version_id)
    return SettledOut.of(settled)
