"""Campaigns."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.api.access import CurrentActor
from app.api.conditions import etag_of
from app.api.forms import form
from app.api.large_bodies import body_of, check_body, receive_import
from app.api.long_work import OPERATION, Wait, answer
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import error, router
from app.api.state import ProgramDep
from app.api.v1.models.campaigns import (
    CampaignIn,
    CampaignMade,
    CampaignOut,
    CampaignPatch,
    NewCampaignIn,
)
from app.api.v1.models.versions import VersionOut
from app.bootstrap.program import Program
from app.db.models import Campaign, CampaignVersion, Operation
from app.db.repositories import campaigns as rows
from app.db.repositories.campaigns import CampaignFilter
from app.mailer.domain.version import WorkflowState
from app.mailer.services import keep_campaign
from app.mailer.services.list_campaigns import get_campaign as found_campaign
from app.mailer.services.list_campaigns import newest_versions, page_campaigns
from app.mailer.services.version_view import view_version
from app.mailer.services.versions import version_of

routes = router("campaigns", "/campaigns")

PATH = "/api/v1/campaigns"
Sort = Literal["updated_at", "-updated_at", "name", "-name", "created_at", "-created_at"]


@routes.get("", response_model=Page[CampaignOut])
def list_campaigns(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "-updated_at",
    archived: Annotated[
        bool | None, Query(description="Those in the archive, instead of the others")
    ] = False,
    search: Annotated[
        str | None,
        Query(
            max_length=200,
            pattern=form(r"^[^\x00]*$", "text without NUL"),
            description="A part of the name or external id",
        ),
    ] = None,
    workflow_state: Annotated[
        WorkflowState | None,
        Query(description="Of the newest version, or of the newest that is built"),
    ] = None,
) -> Any:
    """The campaigns of the tenant that are not in the archive, the one changed last first."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    filters = CampaignFilter(archived, search, workflow_state)
    with program.reading() as session:
        found = page_campaigns(session, actor, filters, order=order, after=after, limit=page.limit)
        newest, built = newest_versions(session, actor, found.rows)
    return page_of(
        found, sort, lambda each: CampaignOut.of(each, newest.get(each.id), built.get(each.id))
    )


@routes.post(
    "",
    status_code=201,
    response_model=CampaignMade,
    openapi_extra=body_of(CampaignIn),
    responses={
        202: {**OPERATION[202], "description": "Large: a worker imports it"},
        415: error("The body is not declared as JSON."),
    },
)
async def create_campaign(
    request: Request, actor: CurrentActor, program: ProgramDep, wait: Wait, response: Response
) -> Any:
    """Import a campaign file; the same campaign again becomes its next version.

    It may read the tenant's uploads and the folders in FILE_ROOTS, nothing else. Passwords and
    other secrets are sealed, and are never shown again. A body over 1 MB is answered with an
    operation, whose result names the version.
    """
    body = await receive_import(program, actor, request)
    if isinstance(body, Operation):
        return await answer(program, actor, body, wait)
    return await run_in_threadpool(_import_now, program, actor, body, response)


def _import_now(program: Program, actor: Actor, body: bytes, response: Response) -> CampaignMade:
    check_body(CampaignIn, body)
    with program.sessions() as session:
        imported = program.take_campaign(session, actor, body)
        campaign = found_campaign(session, actor, imported.campaign_id)
        version = version_of(session, actor.tenant_id, campaign.id, imported.version_id)
        made = _made(program, actor, session, campaign, version, response)
        session.commit()
    return made


@routes.post("/new", status_code=201)
def new_campaign(
    body: NewCampaignIn, actor: CurrentActor, program: ProgramDep, response: Response
) -> CampaignMade:
    """Begin a campaign with an empty draft, to be written step by step."""
    with program.sessions() as session:
        campaign, version = keep_campaign.new_campaign(
            session, actor, **body.model_dump(), now=program.clock.now()
        )
        made = _made(program, actor, session, campaign, version, response)
        session.commit()
    return made


@routes.get("/{campaign_id}")
def get_campaign(campaign_id: UUID, actor: CurrentActor, program: ProgramDep) -> CampaignOut:
    """One campaign, and its newest version in short."""
    with program.reading() as session:
        campaign = found_campaign(session, actor, campaign_id)
        return _shown(session, actor, campaign)


@routes.patch("/{campaign_id}")
def update_campaign(
    campaign_id: UUID, body: CampaignPatch, actor: CurrentActor, program: ProgramDep
) -> CampaignOut:
    """Change what a campaign is called, or what it needs before it is queued.

    The next change of the name in the campaign's file changes it here, too. 403 for less approval
    where `two_person` holds and you wrote in a version.
    """
    sent = {name: getattr(body, name) for name in body.model_fields_set}
    with program.sessions() as session:
        campaign = keep_campaign.update_campaign(
            session, actor, campaign_id, **sent, now=program.clock.now()
        )
        shown = _shown(session, actor, campaign)
        session.commit()
    return shown


@routes.delete("/{campaign_id}", status_code=204)
def delete_campaign(campaign_id: UUID, actor: CurrentActor, program: ProgramDep) -> None:
    """Delete a campaign with all its versions; 409 where anything of it was ever queued."""
    with program.sessions() as session:
        keep_campaign.delete_campaign(session, actor, campaign_id, now=program.clock.now())
        session.commit()


@routes.post("/{campaign_id}/archive")
def archive_campaign(campaign_id: UUID, actor: CurrentActor, program: ProgramDep) -> CampaignOut:
    """Put a campaign away; 409 while letters of it wait to be sent."""
    with program.sessions() as session:
        campaign = keep_campaign.archive_campaign(
            session, actor, campaign_id, now=program.clock.now()
        )
        shown = _shown(session, actor, campaign)
        session.commit()
    return shown


@routes.post("/{campaign_id}/unarchive")
def unarchive_campaign(campaign_id: UUID, actor: CurrentActor, program: ProgramDep) -> CampaignOut:
    """Take a campaign out of the archive; each version is again what it was."""
    with program.sessions() as session:
        campaign = keep_campaign.unarchive_campaign(
            session, actor, campaign_id, now=program.clock.now()
        )
        shown = _shown(session, actor, campaign)
        session.commit()
    return shown


def _shown(session: Session, actor: Actor, campaign: Campaign) -> CampaignOut:
    newest, built = newest_versions(session, actor, [campaign])
    return CampaignOut.of(campaign, newest.get(campaign.id), built.get(campaign.id))


def _made(
    program: Program,
    actor: Actor,
    session: Session,
    campaign: Campaign,
    version: CampaignVersion,
    response: Response,
) -> CampaignMade:
    view = view_version(session, actor, version, program.clock.now())
    response.headers["Location"] = f"{PATH}/{campaign.id}"
    response.headers["ETag"] = etag_of(version)
    _newest, built = newest_versions(session, actor, [campaign])
    shown = CampaignOut.of(campaign, version, built.get(campaign.id))
    return CampaignMade(campaign=shown, version=VersionOut.of(view))
