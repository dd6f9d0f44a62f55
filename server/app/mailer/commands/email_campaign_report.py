"""Mails a campaign's report to colleagues, with the table of its letters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from app.bootstrap.program import Program
from app.mailer.commands.terminal import (
    OK,
    ApiKey,
    AsJson,
    CampaignId,
    VersionId,
    coloured,
    parse_uuid,
    print_json,
    run,
    say,
)
from app.mailer.services.email_report import email_report


def main(
    campaign_id: CampaignId,
    api_key: ApiKey,
    to: Annotated[
        list[str], typer.Option("--to", metavar="ADDRESS", help="Repeat it for several.")
    ],
    version_id: VersionId = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything but reach the mail server.")
    ] = False,
    include_jobs: Annotated[
        bool, typer.Option("--include-jobs", help="A row for each letter in the JSON report too.")
    ] = False,
    no_jobs_csv: Annotated[
        bool, typer.Option("--no-jobs-csv", help="Without the table of letters.")
    ] = False,
    attach_report_json: Annotated[
        bool, typer.Option("--attach-report-json", help="Also attach the whole report as JSON.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Mail the report from the campaign's own sender; no letter is touched."""
    program = Program()
    emailed = email_report(
        program.post(dry_run=dry_run),
        program.actor(api_key),
        parse_uuid(campaign_id, "--campaign-id"),
        version_id=parse_uuid(version_id, "--version-id") if version_id else None,
        to=to,
        include_jobs=include_jobs,
        attach_jobs_csv=not no_jobs_csv,
        attach_report_json=attach_report_json,
        dry_run=dry_run,
    )
    if as_json:
        print_json(asdict(emailed))
    else:
        done = "would be sent" if dry_run else "[green]was sent[/]"
        say(
            f"The report on version {emailed.version_number} {done} "
            f"to {coloured(', '.join(emailed.to))}: {emailed.size} bytes."
        )
        for name in emailed.attachments:
            say(f"  attached: {coloured(name)}")
        if not dry_run:
            say(f"The server said: {coloured(emailed.reply)}")
    return OK


if __name__ == "__main__":
    run(main)
