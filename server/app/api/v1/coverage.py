"""The matrix of people and files: who gets what, what nobody takes, what two take."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query

from app.api.access import CurrentActor
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import error, router
from app.api.state import ProgramDep
from app.api.v1.models.coverage import CoveredFile, CoveredPerson
from app.db.repositories import coverage as rows
from app.db.repositories import job_lists
from app.db.repositories.coverage import PeopleFilter, Use
from app.mailer.services.coverage import page_files, page_people

routes = router("coverage", "/campaigns/{campaign_id}/versions/{version_id}/coverage")

_NOT_BUILT: dict[int | str, dict[str, Any]] = {409: error("The version is not built.")}


@routes.get("/people", response_model=Page[CoveredPerson], responses=_NOT_BUILT)
def list_coverage_people(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    version_id: UUID,
    page: Annotated[PageQuery, Depends()],
    without_files: Annotated[bool, Query(description="Only those that get no file")] = False,
    needs_review: Annotated[
        bool, Query(description="Only those that need a decision and have none")
    ] = False,
    path: Annotated[
        str | None,
        Query(min_length=1, max_length=2000, description="Only those who get this file"),
    ] = None,
    sort: Literal["position", "-position", "entry_id", "-entry_id"] = "position",
) -> Any:
    """Each entry with the files of its message; one without a message has none."""
    columns = {name: job_lists.SORTABLE[name] for name in ("position", "entry_id")}
    order, after = place(page, sort, columns, job_lists.KEY)
    filters = PeopleFilter(without_files=without_files, needs_review=needs_review, path=path)
    with program.reading() as session:
        found = page_people(
            session,
            actor,
            campaign_id,
            version_id,
            filters,
            order=order,
            after=after,
            limit=page.limit,
        )
    return page_of(found, sort, CoveredPerson.of)


@routes.get("/files", response_model=Page[CoveredFile], responses=_NOT_BUILT)
def list_coverage_files(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    version_id: UUID,
    page: Annotated[PageQuery, Depends()],
    use: Annotated[Use | None, Query(description="Only files that are taken so")] = None,
    search: Annotated[
        str | None, Query(min_length=1, max_length=200, description="A part of the path")
    ] = None,
    sort: Literal["path", "-path", "takers", "-takers", "size", "-size"] = "path",
) -> Any:
    """Each file of the base folder as the build saw it, with who takes it."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = page_files(
            session,
            actor,
            campaign_id,
            version_id,
            use=use,
            search=search,
            order=order,
            after=after,
            limit=page.limit,
        )
    return page_of(found, sort, CoveredFile.of)
