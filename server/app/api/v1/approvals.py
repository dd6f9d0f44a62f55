"""Approving versions."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends

from app.api.access import CurrentActor
from app.api.paging import PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.versions import ApprovalOut, ApprovalPage, ApproveIn, VersionOut, WithdrawIn
from app.api.version_answers import VERSION, view_of
from app.db.repositories import approvals as rows
from app.mailer.services import approve_version as approving

routes = router("versions", "/campaigns")

Sort = Literal["approved_at", "-approved_at"]


@routes.post(f"{VERSION}/approve")
def approve_version(
    campaign_id: UUID,
    version_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    body: ApproveIn | None = None,
) -> ApprovalOut:
    """Say yes to exactly the messages that may be queued now.

    It is void as soon as one of them is another: by a new build, or by another decision. With the
    `messages_sha256` of the list of approvals it is a yes to what you looked at, else 409. 403
    where a second person has to approve, and you wrote in the version.
    """
    body = body or ApproveIn()
    with program.sessions() as session:
        approval = approving.approve_version(
            session,
            actor,
            campaign_id,
            version_id,
            reason=body.reason,
            messages_sha256=body.messages_sha256,
            now=program.clock.now(),
        )
        session.commit()
    return ApprovalOut.of(approval)


@routes.post(f"{VERSION}/withdraw-approval")
def withdraw_approval(
    campaign_id: UUID,
    version_id: UUID,
    body: WithdrawIn,
    actor: CurrentActor,
    program: ProgramDep,
) -> VersionOut:
    """Take back every yes to a version. What is queued already stays queued: pause or cancel it."""
    with program.sessions() as session:
        version = approving.withdraw_approval(
            session,
            actor,
            campaign_id,
            version_id,
            reason=body.reason,
            now=program.clock.now(),
        )
        view = view_of(program, session, actor, version)
        session.commit()
    return VersionOut.of(view)


@routes.get(f"{VERSION}/approvals", response_model=ApprovalPage)
def list_approvals(
    campaign_id: UUID,
    version_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "-approved_at",
) -> Any:
    """Who approved a version, what has become of it, and what a yes would be to now."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = approving.page_approvals(
            session, actor, campaign_id, version_id, order=order, after=after, limit=page.limit
        )
        digest, count = approving.messages_to_approve(session, actor, campaign_id, version_id)
    return {
        **page_of(found, sort, ApprovalOut.of),
        "messages_sha256": digest,
        "message_count": count,
    }
