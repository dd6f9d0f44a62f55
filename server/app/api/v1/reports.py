"""What became of a campaign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from app.api.access import CurrentActor
from app.api.routing import router
from app.api.state import ProgramDep
from app.api.streams import made, streamed
from app.api.v1.models.reports import EmailedOut, EmailReportIn, ReportOut, SummaryOut
from app.mailer.domain.report import csv_lines, jobs_csv
from app.mailer.domain.rest import Rest
from app.mailer.services.email_report import email_report as send_report
from app.mailer.services.evidence import export_evidence
from app.mailer.services.report import campaign_report, campaign_summary, job_rows
from app.mailer.services.rest_export import USUAL, rest_rows

routes = router("reports", "/campaigns")

VersionId = Annotated[UUID | None, Query(description="Left out: the newest that is built")]
Bom = Annotated[bool, Query(description="Begin with a byte order mark, as Excel needs it")]
_CSV = "text/csv; charset=utf-8"
_CSV_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "A table", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


@routes.get("/{campaign_id}/summary", response_model=SummaryOut)
def get_summary(
    campaign_id: UUID, actor: CurrentActor, program: ProgramDep, version_id: VersionId = None
) -> Any:
    """The counts of a version, for a dashboard that asks often."""
    with program.reading() as session:
        now = program.clock.now()
        return campaign_summary(session, actor, campaign_id, version_id=version_id, now=now)


@routes.get("/{campaign_id}/report", response_model=ReportOut, response_model_exclude_unset=True)
def get_report(
    campaign_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    version_id: VersionId = None,
    include_jobs: Annotated[bool, Query(description="Also a row for each letter")] = False,
) -> Any:
    """Everything about a version: counts, files, issues, attempts, failures, what is in doubt."""

    def make(session: Session) -> dict[str, Any]:
        return campaign_report(
            session,
            actor,
            campaign_id,
            version_id=version_id,
            include_jobs=False,
            now=program.clock.now(),
        )

    def with_jobs(session: Session) -> Iterator[bytes]:
        report = make(session)
        own = UUID(report["campaign"]["version_id"])
        return _json(report, job_rows(session, actor, campaign_id, version_id=own))

    if include_jobs:
        return streamed(program, actor, with_jobs, "application/json")
    with program.reading() as session:
        return make(session)


@routes.get(
    "/{campaign_id}/report/jobs.csv", response_class=StreamingResponse, responses=_CSV_ANSWER
)
def get_jobs_csv(
    campaign_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    version_id: VersionId = None,
    bom: Bom = False,
) -> StreamingResponse:
    """A row for each letter. No cell can be taken for a formula: it gets an apostrophe in front."""

    def make(session: Session) -> Iterator[str]:
        return jobs_csv(job_rows(session, actor, campaign_id, version_id=version_id), bom=bom)

    return streamed(program, actor, make, _CSV, "jobs.csv")


@routes.get(
    "/{campaign_id}/report/rest.csv", response_class=StreamingResponse, responses=_CSV_ANSWER
)
def get_rest_csv(
    campaign_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    version_id: VersionId = None,
    include: Annotated[
        list[Rest] | None,
        Query(
            max_length=len(Rest),
            description="`failed`: refused, or every try failed. `never_sent`: not queued, "
            "cancelled, blocked, or waiting for a review. `left_out`: excluded or inactive. "
            "Default: `failed` and `never_sent`",
        ),
    ] = None,
    bom: Bom = False,
    guard: Annotated[
        bool,
        Query(
            description="Put an apostrophe in front of what a spreadsheet would take for a "
            "formula. `false` leaves every cell as it was: for a file that is a campaign's source "
            "again and is not opened in a spreadsheet"
        ),
    ] = True,
) -> StreamingResponse:
    """The recipients whom the campaign did not reach, in the columns of their table.

    Nobody who is queued or in doubt, or whom another version reached: they could get it twice.
    """

    def make(session: Session) -> Iterator[str]:
        wanted = include or USUAL
        table = rest_rows(session, actor, campaign_id, version_id=version_id, wanted=wanted)
        return csv_lines(table.header, table.rows, bom=bom, guarded=guard)

    return streamed(program, actor, make, _CSV, "rest.csv")


@routes.get(
    "/{campaign_id}/versions/{version_id}/evidence.zip",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A ZIP file",
            "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
def get_evidence(
    campaign_id: UUID,
    version_id: UUID,
    actor: CurrentActor,
    program: ProgramDep,
    messages: Annotated[
        bool, Query(description="With the bytes of every message; needs `campaign:read`, too")
    ] = False,
) -> StreamingResponse:
    """The evidence of a version: what was sent to whom, what the servers said, who said yes.

    `python -m app.mailer.commands.verify_evidence` verifies the file offline. The export is
    recorded in the audit log, with the hash of the file's manifest.
    """
    exported = export_evidence(
        program.record_office(), actor, campaign_id, version_id=version_id, with_messages=messages
    )
    return made(actor, exported.pieces, "application/zip", exported.filename)


@routes.post("/{campaign_id}/report/email", response_model=EmailedOut)
def email_report(
    campaign_id: UUID, body: EmailReportIn, actor: CurrentActor, program: ProgramDep
) -> Any:
    """Mail the report from the campaign's own sender; no letter is touched."""
    emailed = send_report(
        program.post(dry_run=body.dry_run),
        actor,
        campaign_id,
        version_id=body.version_id,
        to=body.to,
        include_jobs=body.include_jobs,
        attach_jobs_csv=body.attach_jobs_csv,
        attach_report_json=body.attach_report_json,
        dry_run=body.dry_run,
    )
    return EmailedOut.of(emailed)


def _json(report: dict[str, Any], rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """The report with its `jobs`, one at a time."""
    yield orjson.dumps(report)[:-1] + b',"jobs":['
    for number, row in enumerate(rows):
        yield (b",\n" if number else b"\n") + orjson.dumps(row)
    yield b"\n]}"
