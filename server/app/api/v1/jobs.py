"""The jobs of a campaign: who gets what, and how far it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from app.api.access import CurrentActor
from app.api.download import download
from app.api.paging import Page, PageQuery, page_of, place
from app.api.routing import error, router
from app.api.state import ProgramDep
from app.api.v1.models.jobs import AttemptOut, JobIssueOut, JobOut, JobRowOut, PreviewOut
from app.db.models import JobIssue
from app.db.repositories import job_lists as rows
from app.db.repositories.attempt_lists import timeline
from app.db.repositories.job_lists import JobFilter
from app.mailer.domain.delivery.job import Decision, ImapStatus, SendStatus
from app.mailer.domain.issues import EntryState
from app.mailer.services.list_jobs import (
    get_job as one_job,
)
from app.mailer.services.list_jobs import (
    page_job_attempts,
    page_job_issues,
    page_jobs,
)
from app.mailer.services.message_view import (
    download_attachment,
    download_message,
    preview_html,
    preview_message,
)

routes = router("jobs", "/campaigns/{campaign_id}/jobs")

Sort = Literal[
    "position", "-position", "entry_id", "-entry_id", "to", "-to", "size", "-size",
    "build_status", "-build_status", "send_status", "-send_status", "imap_status", "-imap_status",
    "sent_at", "-sent_at",
]  # fmt: skip

#: The wall around a letter's HTML: no script, no form, no server but this page itself.
_SANDBOX = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
_CHANGED: dict[int | str, dict[str, Any]] = {
    409: error("What is stored is not what was built; it will not be sent.")
}


def _filters(
    build_status: Annotated[list[EntryState], Query(max_length=10)] = [],  # noqa: B006
    send_status: Annotated[list[SendStatus], Query(max_length=10)] = [],  # noqa: B006
    imap_status: Annotated[list[ImapStatus], Query(max_length=10)] = [],  # noqa: B006
    decision: Decision | None = None,
    undecided: Annotated[
        bool, Query(description="Only those that need a decision and have none")
    ] = False,
    code: Annotated[
        str | None, Query(max_length=60, description="Only those with such an issue")
    ] = None,
    search: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=200,
            description="A part of the entry's id, of an address or of the subject, in either case",
        ),
    ] = None,
) -> JobFilter:
    return JobFilter(
        build_status=build_status,
        send_status=send_status,
        imap_status=imap_status,
        decision=decision,
        undecided=undecided,
        code=code,
        search=search,
    )


@routes.get("", response_model=Page[JobRowOut])
def list_jobs(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    page: Annotated[PageQuery, Depends()],
    filters: Annotated[JobFilter, Depends(_filters)],
    version_id: Annotated[
        UUID | None, Query(description="Left out: the newest that is built")
    ] = None,
    sort: Sort = "position",
) -> Any:
    """The jobs of a version, one for each entry; none while it is not built."""
    order, after = place(page, sort, rows.SORTABLE, rows.KEY)
    with program.reading() as session:
        found = page_jobs(
            session,
            actor,
            campaign_id,
            version_id=version_id,
            filters=filters,
            order=order,
            after=after,
            limit=page.limit,
        )
    return page_of(found, sort, JobRowOut.of)


@routes.get("/{job_id}")
def get_job(actor: CurrentActor, program: ProgramDep, campaign_id: UUID, job_id: UUID) -> JobOut:
    """One job, with the headers of its message, its files and the decision about it."""
    with program.reading() as session:
        return JobOut.of_detail(one_job(session, actor, campaign_id, job_id))


@routes.get("/{job_id}/issues", response_model=Page[JobIssueOut])
def list_job_issues(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    job_id: UUID,
    page: Annotated[PageQuery, Depends()],
) -> Any:
    """What was found in one job, in the order of finding."""
    order, after = place(page, "id", {"id": JobIssue.id}, JobIssue.id)
    with program.reading() as session:
        found = page_job_issues(
            session, actor, campaign_id, job_id, order=order, after=after, limit=page.limit
        )
    return page_of(found, "id", JobIssueOut.of)


@routes.get("/{job_id}/attempts", response_model=Page[AttemptOut])
def list_job_attempts(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    job_id: UUID,
    page: Annotated[PageQuery, Depends()],
    sort: Literal["began_at", "-began_at"] = "began_at",
) -> Any:
    """Every try to send the message and to file its copy, with what the servers said."""
    tries = timeline(actor.tenant_id, job_id)
    order, after = place(page, sort, {"began_at": tries.c.at}, tries.c.key)
    with program.reading() as session:
        found = page_job_attempts(
            session, actor, campaign_id, job_id, tries, order=order, after=after, limit=page.limit
        )
    return page_of(found, sort, AttemptOut.of)


@routes.get(
    "/{job_id}/message.eml",
    response_class=Response,
    responses={200: {"content": {"message/rfc822": {}}, "description": "The message"}, **_CHANGED},
)
def get_job_message(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    job_id: UUID,
    with_bcc: Annotated[
        bool, Query(description="The copy for Sent, which has the Bcc header")
    ] = False,
) -> Response:
    """The message, byte for byte as it leaves by SMTP; its hash is checked first. Recorded."""
    found = download_message(program.viewer(), actor, campaign_id, job_id, with_bcc=with_bcc)
    return download(
        iter(found.chunks), filename=found.filename, size=found.size, media_type=found.media_type
    )


@routes.get("/{job_id}/preview", responses=_CHANGED)
def get_job_preview(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID, job_id: UUID
) -> PreviewOut:
    """The letter as its recipient sees it, decoded. Recorded."""
    return PreviewOut.of(preview_message(program.viewer(), actor, campaign_id, job_id))


@routes.get(
    "/{job_id}/preview.html",
    response_class=Response,
    responses={200: {"content": {"text/html": {}}, "description": "A page"}, **_CHANGED},
)
def get_job_preview_html(
    actor: CurrentActor, program: ProgramDep, campaign_id: UUID, job_id: UUID
) -> Response:
    """The letter's HTML as a page for a frame: in a sandbox, without scripts, and nothing of other
    servers. Recorded.
    """
    found = preview_html(program.viewer(), actor, campaign_id, job_id)
    headers = {
        "Content-Security-Policy": _SANDBOX,
        "X-Frame-Options": "SAMEORIGIN",
        "X-DNS-Prefetch-Control": "off",
    }
    return Response(found.document, headers=headers, media_type="text/html")


@routes.get(
    "/{job_id}/attachments/{position}",
    response_class=Response,
    responses={
        200: {"content": {"application/octet-stream": {}}, "description": "The file"},
        409: error("The file travels in an archive; download that."),
    },
)
def get_job_attachment(
    actor: CurrentActor,
    program: ProgramDep,
    campaign_id: UUID,
    job_id: UUID,
    position: Annotated[int, Path(ge=0, le=100_000)],
) -> Response:
    """The very bytes that the message has attached. Recorded."""
    found = download_attachment(program.viewer(), actor, campaign_id, job_id, position)
    return download(
        iter(found.chunks),
        filename=found.filename,
        size=found.size,
        media_type="application/octet-stream",
    )
