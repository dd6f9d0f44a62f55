"""The versions of a campaign: looked at, written, and checked while they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Response

from app.api.access import CurrentActor
from app.api.conditions import ETAG, ExpectedVersion
from app.api.errors import IssueOut
from app.api.exact import RawBody
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import error, router
from app.api.state import ProgramDep
from app.api.v1.models.versions import (
    AutosaveIn,
    SectionIn,
    SectionOut,
    StepIn,
    VersionDetail,
    VersionIn,
    VersionOut,
)
from app.api.version_answers import (
    LOCKED,
    TAGGED,
    VERSION,
    conflicts_shown,
    detail,
    tagged,
    view_of,
)
from app.db.repositories import versions as rows
from app.mailer.domain.issues import MOST_ISSUES, Severity
from app.mailer.services.check_part import check_part
from app.mailer.services.edit_version import Saved, Writing, save_version, set_step
from app.mailer.services.list_versions import find_version, page_versions
from app.mailer.services.take_campaign import exact_object
from app.mailer.services.version_view import view_versions

routes = router("versions", "/campaigns")

_WRITING: dict[int | str, dict[str, Any]] = {
    200: {"headers": ETAG},
    201: {
        "model": VersionOut,
        "description": "It was built already, so this is the next version",
        "headers": {
            **ETAG,
            "Location": {"schema": {"type": "string"}, "description": "The next version"},
        },
    },
    409: error(
        "It was changed meanwhile (`current` is what it is now, ETag its tag), or nobody may write "
        "in it now."
    ),
    428: error("Somebody else wrote last: If-Match has to say that you saw it."),
    **LOCKED,
}
Sort = Literal["number", "-number", "created_at", "-created_at"]


@routes.get("/{campaign_id}/versions", response_model=Page[VersionOut])
def list_versions(
    campaign_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    page: Annotated[PageQuery, Depends()],
    sort: Sort = "-number",
) -> Any:
    """The versions of a campaign, the newest first, without their content."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        campaign, found = page_versions(
            session, actor, campaign_id, order=order, after=after, limit=page.limit
        )
        views = view_versions(session, actor, campaign, found.rows, program.clock.now())
    shown = {view.version.id: VersionOut.of(view) for view in views}
    return page_of(found, sort, lambda each: shown[each.id])


@routes.get(VERSION, response_model=VersionDetail, responses=TAGGED)
def get_version(
    campaign_id: UUID, version_id: UUID, actor: CurrentActor, program: ProgramDep
) -> Any:
    """A version with its content; where a secret is stored, `secret:` and its place stand."""
    with program.reading() as session:
        version = find_version(session, actor, campaign_id, version_id)
        return detail(view_of(program, session, actor, version))


@routes.put(
    VERSION,
    response_model=VersionDetail,
    responses={**_WRITING, 201: {**_WRITING[201], "model": VersionDetail}},
)
def update_version(
    campaign_id: UUID,
    version_id: UUID,
    body: VersionIn,
    raw: RawBody,
    actor: CurrentActor,
    program: ProgramDep,
    expected: ExpectedVersion,
) -> Any:
    """Write a version. Where it was built, the next one begins with what is sent.

    A reference (`secret:/…`) keeps the secret that it names, null removes it, anything else is a
    new one; the password of a server is forgotten where its host is another one.
    """
    writing = _writing(body, raw)
    with program.sessions() as session, conflicts_shown(program, session, actor):
        saved = save_version(
            session,
            actor,
            campaign_id,
            version_id,
            writing,
            expected,
            autosave=False,
            clock=program.clock,
            box=program.box,
        )
        view = view_of(program, session, actor, saved.version)
        session.commit()
    return detail(view, *_made(saved))


@routes.post(f"{VERSION}/autosave", responses=_WRITING)
def autosave_version(
    campaign_id: UUID,
    version_id: UUID,
    body: AutosaveIn,
    raw: RawBody,
    actor: CurrentActor,
    program: ProgramDep,
    expected: ExpectedVersion,
    response: Response,
) -> VersionOut:
    """Keep what the editor has right now, be it valid or not. Answers without the content."""
    writing = _writing(body, raw)
    with program.sessions() as session, conflicts_shown(program, session, actor):
        saved = save_version(
            session,
            actor,
            campaign_id,
            version_id,
            writing,
            expected,
            autosave=True,
            clock=program.clock,
            box=program.box,
        )
        view = view_of(program, session, actor, saved.version)
        session.commit()
    response.status_code, headers = _made(saved)
    response.headers.update(headers)
    return tagged(view, response)


@routes.post(f"{VERSION}/set-step", responses=TAGGED)
def set_version_step(
    campaign_id: UUID,
    version_id: UUID,
    body: StepIn,
    actor: CurrentActor,
    program: ProgramDep,
    response: Response,
) -> VersionOut:
    """Note where in the editor people are. It is no change of the version: its ETag stays."""
    with program.sessions() as session:
        version = set_step(
            session,
            actor,
            campaign_id,
            version_id,
            current_flow=body.current_flow,
            current_step=body.current_step,
            now=program.clock.now(),
        )
        view = view_of(program, session, actor, version)
        session.commit()
    return tagged(view, response)


@routes.post(f"{VERSION}/validate-partial")
def validate_version_part(
    campaign_id: UUID,
    version_id: UUID,
    body: SectionIn,
    actor: CurrentActor,
    program: ProgramDep,
) -> SectionOut:
    """Check one section of what is stored; what is missing elsewhere does not matter here.

    No file is opened: `not_checked` says where only validating the whole version tells more.
    """
    with program.reading() as session:
        found = check_part(session, actor, campaign_id, version_id, body.section, box=program.box)
    first = found.issues[:MOST_ISSUES]
    return SectionOut(
        section=body.section,
        valid=all(issue.severity is not Severity.BLOCK for issue in found.issues),
        issues=[IssueOut.model_validate(issue, from_attributes=True) for issue in first],
        issue_count=len(found.issues),
        not_checked=found.not_checked,
    )


def _writing(body: AutosaveIn, raw: bytes) -> Writing:
    sent = exact_object(raw)
    return Writing(
        # As it was spelled; the model has made floats of its numbers.
        config=sent.get("config" if body.campaign_json is None else "campaign_json"),
        current_flow=body.current_flow,
        current_step=body.current_step,
        is_complete=body.is_complete,
        editor_state=body.editor_state,
    )


def _made(saved: Saved) -> tuple[int, dict[str, str]]:
    if not saved.is_next:
        return 200, {}
    version = saved.version
    path = f"/api/v1/campaigns/{version.campaign_id}/versions/{version.id}"
    return 201, {"Location": path}
