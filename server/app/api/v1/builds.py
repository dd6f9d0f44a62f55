"""Checking a version, building it, and trying one of its letters out."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query
from fastapi.responses import Response

from app.api.access import CurrentActor
from app.api.forms import form
from app.api.long_work import OPERATION, Wait, answer, begin
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.v1.models.builds import TestMessageIn, VersionIssueOut
from app.db.repositories import issues as rows
from app.db.repositories.issues import IssueFilter
from app.mailer.domain.issues import Severity
from app.mailer.services.list_issues import page_issues
from app.mailer.services.operations import Kind

routes = router("builds", "/campaigns")

_OF_VERSION = "/{campaign_id}/versions/{version_id}"


@routes.post("/versions/{version_id}/validate", status_code=202, responses=OPERATION)
async def validate_version(
    actor: CurrentActor, program: ProgramDep, version_id: UUID, wait: Wait
) -> Response:
    """Check a version and every entry of it with all files, as they are now.

    What was found can be listed as the version's issues; it changes nothing else. 409 with the
    `operation_id` of the other one where a validation of it is not over yet.
    """
    operation = await begin(program, actor, Kind.VALIDATE, version_id=version_id)
    return await answer(program, actor, operation, wait)


@routes.post("/versions/{version_id}/build", status_code=202, responses=OPERATION)
async def build_version(
    actor: CurrentActor, program: ProgramDep, version_id: UUID, wait: Wait
) -> Response:
    """Freeze every letter of a version: what can be reviewed, approved and queued from then on.

    What was built of it before is replaced; a version that was queued cannot be built again
    (409). 409 with the `operation_id` of the other one where a build of it is not over yet.
    """
    operation = await begin(program, actor, Kind.BUILD, version_id=version_id)
    return await answer(program, actor, operation, wait)


@routes.post(f"{_OF_VERSION}/test-message", status_code=202, responses=OPERATION)
async def send_test_message(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    version_id: UUID,
    body: TestMessageIn,
    wait: Wait,
) -> Response:
    """Send one letter of a version to a tester, as it would be built now.

    Neither the campaign nor any of its jobs changes, and none of its recipients gets anything.
    """
    operation = await begin(
        program,
        actor,
        Kind.TEST_SEND,
        campaign_id=campaign_id,
        version_id=version_id,
        request=body.model_dump(),
    )
    return await answer(program, actor, operation, wait)


Sort = Literal["position", "-position"]


@routes.get(f"{_OF_VERSION}/issues", response_model=Page[VersionIssueOut])
def list_version_issues(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    version_id: UUID,
    page: Annotated[PageQuery, Depends()],
    severity: Severity | None = None,
    code: Annotated[
        str | None,
        Query(
            max_length=60,
            pattern=form(r"^[a-z0-9-]+$", "small letters, digits and -"),
            examples=["missing-file"],
        ),
    ] = None,
    sort: Sort = "position",
) -> Any:
    """What the last validation or build found: the campaign's own issues first, then those of its
    entries in order.
    """
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = page_issues(
            session,
            actor,
            campaign_id,
            version_id,
            IssueFilter(severity, code),
            order=order,
            after=after,
            limit=page.limit,
        )
    return page_of(found, sort, VersionIssueOut.of)
