"""Letting a campaign go: queue, pause, resume, cancel, and copies in the Sent folder."""

from __future__ import annotations

import math
import threading
from typing import Any
from uuid import UUID

from fastapi import Response
from fastapi.concurrency import run_in_threadpool

from app.access.actor import Actor
from app.api.access import CurrentActor
from app.api.long_work import PATH, begin
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.delivery import (
    AppendSentIn,
    AppendSentOut,
    CancelIn,
    CancelledOut,
    PauseIn,
    PauseOut,
    QueuedOut,
    QueueIn,
    ReconciledOut,
)
from app.api.v1.models.operations import OperationOut
from app.bootstrap.program import Program
from app.mailer.services.append_sent import AppendReport, rehearse_append
from app.mailer.services.cancel_campaign import cancel_campaign as cancel
from app.mailer.services.operations import Kind
from app.mailer.services.pause_campaign import pause_campaign as pause
from app.mailer.services.pause_campaign import resume_campaign as resume
from app.mailer.services.queue_campaign import queue_campaign as queue
from app.mailer.services.reconcile import reconcile
from app.mailer.services.ring import ring_for_everything, ring_for_sending

routes = router("delivery", "/campaigns/{campaign_id}")

#: Letters that one request looks for at most, and how long it begins to.
_LOOKED_FOR, _LOOK_SECONDS = 100, 30.0

_APPENDING: dict[int | str, dict[str, Any]] = {
    200: {"description": "Nothing is begun: a dry run, nothing is missing, or nobody was to"},
    202: {
        "model": AppendSentOut,
        "description": "The work is put down for a worker",
        "headers": {
            "Location": {
                "schema": {"type": "string", "format": "uri-reference"},
                "description": "Where to watch it",
            }
        },
    },
}


@routes.post("/queue")
def queue_campaign(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID, body: QueueIn | None = None
) -> QueuedOut:
    """Queue every letter that may be sent; what needs a decision or is blocked stays behind.

    A `sample` queues only some of these, so that ten can go before ten thousand; queueing again
    takes the rest. 409 for a version that is not built, a draft, one that needs an approval and
    has none, or one that repeats what another campaign queued since the build; and for chosen
    entries that may not be queued, each with its reason. A dry run of a built version is answered
    all the same: `would_be_refused` has the reasons.
    """
    asked = body or QueueIn()
    with program.sessions() as session:
        queued = queue(
            session,
            actor,
            campaign_id,
            version_id=asked.version_id,
            include_warnings=asked.include_warnings,
            again=asked.again,
            dry_run=asked.dry_run,
            clock=program.clock,
            box=program.box,
            sample=asked.drawn,
            not_before=asked.not_before,
        )
        session.commit()
    hint = None
    if queued.leaves_by(program.clock.now()):
        hint = ring_for_sending(program.bell, actor.tenant_id, queued.version_id)
    return QueuedOut.of(queued, hint)


@routes.post("/pause")
def pause_campaign(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID, body: PauseIn | None = None
) -> PauseOut:
    """Hold back all that has not left: from now on nothing of the campaign is sent.

    409 where it is paused already; `detail` says by whom.
    """
    reason = (body or PauseIn()).reason
    with program.sessions() as session:
        paused = pause(session, actor, campaign_id, reason=reason, now=program.clock.now())
        session.commit()
    return PauseOut.of(paused)


@routes.post("/resume")
def resume_campaign(actor: CurrentActor, program: ProgramDep, campaign_id: UUID) -> PauseOut:
    """Let what is queued leave again. 409 where the campaign is not paused."""
    with program.sessions() as session:
        resumed = resume(session, actor, campaign_id, now=program.clock.now())
        session.commit()
    ring_for_everything(program.bell)
    return PauseOut.of(resumed)


@routes.post("/cancel")
def cancel_campaign(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID, body: CancelIn | None = None
) -> CancelledOut:
    """Cancel all that has not left, of all versions; queueing again undoes it.

    409 where nothing waits.
    """
    reason = (body or CancelIn()).reason
    with program.sessions() as session:
        cancelled = cancel(session, actor, campaign_id, reason=reason, now=program.clock.now())
        session.commit()
    return CancelledOut.of(cancelled)


@routes.post("/append-sent", responses=_APPENDING)
async def append_sent(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    response: Response,
    body: AppendSentIn | None = None,
) -> AppendSentOut:
    """File the copies of sent letters that are still missing in the Sent folder.

    409 with the `operation_id` of the other one where it is under way already.
    """
    asked = body or AppendSentIn()
    missing = await run_in_threadpool(
        _missing, program, actor, campaign_id, include_failed=asked.include_failed
    )
    found = AppendSentOut(dry_run=asked.dry_run, wanted=missing.wanted, operation=None)
    if asked.dry_run or not asked.enqueue_celery or not missing.wanted:
        return found
    operation = await begin(
        program,
        actor,
        Kind.APPEND_SENT,
        campaign_id=campaign_id,
        request={"include_failed": asked.include_failed},
    )
    response.status_code = 202
    response.headers["Location"] = f"{PATH}/{operation.id}"
    return found.model_copy(update={"operation": OperationOut.of(operation)})


@routes.post("/reconcile")
def reconcile_campaign(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID
) -> ReconciledOut:
    """Look for up to 100 letters in doubt in the Sent folder; one that is there was sent.

    Workers do so by themselves, four times within some hours. Those that were least looked for come
    first, and after half a minute it ends.
    """
    folders = program.open_folders()
    try:
        looked = reconcile(
            folders,
            actor,
            campaign_id,
            stop=threading.Event(),
            limit=_LOOKED_FOR,
            seconds=_LOOK_SECONDS,
        )
    finally:
        folders.close_idle(-math.inf)
    return ReconciledOut.of(looked)


def _missing(
    program: Program, actor: Actor, campaign_id: UUID, *, include_failed: bool
) -> AppendReport:
    return rehearse_append(
        program.sent_box(), actor, campaign_id, include_failed=include_failed, limit=None
    )
