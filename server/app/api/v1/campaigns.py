"""Campaigns."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends

from app.api.access import CurrentActor
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.campaigns import CampaignOut
from app.db.repositories import campaigns as rows
from app.mailer.services.list_campaigns import page_campaigns

routes = router("campaigns", "/campaigns")

Sort = Literal["updated_at", "-updated_at", "name", "-name", "created_at", "-created_at"]


@routes.get("", response_model=Page[CampaignOut])
def list_campaigns(
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "-updated_at",
) -> Any:
    """All campaigns of the tenant, the one changed last first."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = page_campaigns(session, actor, order=order, after=after, limit=page.limit)
    return page_of(found, sort, CampaignOut.of)
