"""The way of a version: handed in, given back, locked against others."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from app.api.access import CurrentActor
from app.api.conditions import ExpectedVersion
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.versions import LockIn, VersionOut
from app.api.version_answers import (
    LOCKED,
    TAGGED,
    VERSION,
    conflicts_shown,
    tagged,
    view_of,
)
from app.mailer.services import lock_version as locking
from app.mailer.services import version_workflow as workflow

routes = router("versions", "/campaigns")


@routes.post(f"{VERSION}/publish", responses={**TAGGED, **LOCKED})
def publish_version(
    campaign_id: UUID,
    version_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    expected: ExpectedVersion,
    response: Response,
) -> VersionOut:
    """Hand a version in for review: it is complete, and nobody writes in it any more."""
    with program.sessions() as session, conflicts_shown(program, session, actor):
        version = workflow.publish_version(
            session,
            actor,
            campaign_id,
            version_id,
            expected,
            now=program.clock.now(),
            box=program.box,
        )
        view = view_of(program, session, actor, version)
        session.commit()
    return tagged(view, response)


@routes.post(f"{VERSION}/reopen", responses=TAGGED)
def reopen_version(
    campaign_id: UUID,
    version_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    expected: ExpectedVersion,
    response: Response,
) -> VersionOut:
    """Give a version that was handed in back for writing."""
    with program.sessions() as session, conflicts_shown(program, session, actor):
        version = workflow.reopen_version(
            session, actor, campaign_id, version_id, expected, now=program.clock.now()
        )
        view = view_of(program, session, actor, version)
        session.commit()
    return tagged(view, response)


@routes.post(f"{VERSION}/lock", responses={**TAGGED, **LOCKED})
def lock_version(
    campaign_id: UUID,
    version_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    response: Response,
    body: LockIn | None = None,
) -> VersionOut:
    """Keep others from writing, until it is unlocked or not used for 15 minutes."""
    with program.sessions() as session:
        version = locking.lock_version(
            session,
            actor,
            campaign_id,
            version_id,
            force=body is not None and body.force,
            now=program.clock.now(),
        )
        view = view_of(program, session, actor, version)
        session.commit()
    return tagged(view, response)


@routes.post(f"{VERSION}/unlock", responses={**TAGGED, **LOCKED})
def unlock_version(
    campaign_id: UUID,
    version_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    response: Response,
    body: LockIn | None = None,
) -> VersionOut:
    """Let others write again."""
    with program.sessions() as session:
        version = locking.unlock_version(
            session,
            actor,
            campaign_id,
            version_id,
            force=body is not None and body.force,
            now=program.clock.now(),
        )
        view = view_of(program, session, actor, version)
        session.commit()
    return tagged(view, response)
