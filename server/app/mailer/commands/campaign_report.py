"""Reports what became of a campaign, or what happens to it now; can write a table of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.bootstrap.program import Program
from app.mailer.adapters.whole_file import whole_file
from app.mailer.commands.terminal import (
    OK,
    ApiKey,
    AsJson,
    CampaignId,
    VersionId,
    coloured,
    letters,
    parse_uuid,
    print_json,
    print_table,
    run,
    say,
)
from app.mailer.commands.unsettled import show_in_doubt, why
from app.mailer.commands.watch import watch
from app.mailer.domain.errors import MailerError
from app.mailer.domain.report import csv_lines
from app.mailer.domain.report import jobs_csv as jobs_csv_lines
from app.mailer.services.report import campaign_report, job_rows
from app.mailer.services.rest_export import rest_rows


def main(
    campaign_id: CampaignId,
    api_key: ApiKey,
    version_id: VersionId = None,
    include_jobs: Annotated[
        bool, typer.Option("--include-jobs", help="Also a row for each letter.")
    ] = False,
    jobs_csv: Annotated[
        str | None,
        typer.Option("--jobs-csv", metavar="FILE", help="Write a row for each letter as CSV."),
    ] = None,
    rest_csv: Annotated[
        str | None,
        typer.Option(
            "--rest-csv",
            metavar="FILE",
            help="Write those who failed or were never sent, in the columns of their table.",
        ),
    ] = None,
    no_guard: Annotated[
        bool,
        typer.Option(
            "--no-guard",
            help="In --rest-csv no apostrophe in front of what a spreadsheet would take for a "
            "formula: for a file that is a campaign's source again.",
        ),
    ] = False,
    is_watching: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Show live figures until nothing is left to happen; Ctrl-C ends it.",
        ),
    ] = False,
    interval: Annotated[
        float,
        typer.Option(
            "--interval", metavar="SECONDS", min=0.2, max=3600, help="How often --watch looks."
        ),
    ] = 1.0,
    as_json: AsJson = False,
) -> int:
    """Show what became of a campaign: how many letters are in which state, and what failed."""
    program = Program()
    actor = program.actor(api_key)
    campaign = parse_uuid(campaign_id, "--campaign-id")
    version = parse_uuid(version_id, "--version-id") if version_id else None
    if is_watching:
        if version or include_jobs or jobs_csv is not None or rest_csv is not None:
            raise MailerError(
                "--watch shows the whole campaign, and writes no table.",
                "Leave out --version-id, --include-jobs, --jobs-csv and --rest-csv.",
            )
        return watch(program, actor, campaign, interval=interval, as_json=as_json)
    with program.reading() as session:
        report = campaign_report(
            session,
            actor,
            campaign,
            version_id=version,
            include_jobs=include_jobs,
            now=program.clock.now(),
        )
        version = parse_uuid(report["campaign"]["version_id"], "version")
        if jobs_csv is not None:
            rows = _write_csv(session, actor, campaign, version, Path(jobs_csv))
        if rest_csv is not None:
            table = rest_rows(session, actor, campaign, version_id=version)
            lines = csv_lines(table.header, table.rows, bom=True, guarded=not no_guard)
            rest = _write_lines(lines, "--rest-csv", Path(rest_csv)) - 1
    if as_json:
        print_json(report)
    else:
        _show(report)
        if jobs_csv is not None:
            say(f"{letters(rows, 'is', 'are')} listed in {coloured(jobs_csv)}.")
        if rest_csv is not None:
            say(f"{rest} rows of those who got nothing are in {coloured(rest_csv)}.")
            if not no_guard:
                say("  As a campaign's source take it with --no-guard: guards would be in letters.")
    return OK


def _write_csv(session: Session, actor: Actor, campaign: Any, version: Any, path: Path) -> int:
    rows = job_rows(session, actor, campaign, version_id=version)
    # Excel takes UTF-8 without a mark for something else.
    return _write_lines(jobs_csv_lines(rows, bom=True), "--jobs-csv", path) - 1


def _write_lines(lines: Iterable[str], option: str, path: Path) -> int:
    """The table whole or not at all; it replaces an older one only when it is complete."""
    count = 0
    try:
        with whole_file(path) as file:
            for line in lines:
                file.write(line.encode())
                count += 1
    except OSError as error:
        raise MailerError(
            f"{option}: {path} cannot be written: {error.strerror}.", "Name another file."
        ) from error
    return count


def _show(report: Mapping[str, Any]) -> None:
    campaign = report["campaign"]
    say(
        f"[bold]{coloured(campaign['name'])}[/] ({coloured(campaign['external_id'])}), "
        f"version {campaign['version_number']}, {campaign['workflow_state']}"
    )
    print_table(
        "Letters",
        ["", "Letters"],
        [(name.replace("_", " "), count) for name, count in report["cards"].items() if count],
        right=["Letters"],
    )
    for title, axis in (("Built", "build"), ("Sending", "send"), ("Copies in Sent", "imap")):
        counted = [f"{n} {coloured(state)}" for state, n in report[axis].items() if n]
        say(f"{title}: {', '.join(counted) or 'none'}")
    if report["copies_held"]:
        held = report["copies_held"]
        say(f"[yellow]Copies are held back:[/] {coloured(held['reason'])}")
        say(f"They are tried again at {held['until']}, or now by append_pending_sent.")
    files = report["attachments"]
    say("Attachments: " + ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in files.items()))
    if report["issues"]:
        print_table(
            "Issues",
            ["", "Code", "Letters", "Meaning"],
            [(i["severity"], i["code"], i["count"], i["meaning"]) for i in report["issues"]],
            right=["Letters"],
        )
    if report["recent_failures"]:
        print_table(
            "Not sent",
            ["Entry", "To", "State", "Reply", "At"],
            [
                (
                    each["entry"],
                    each["to"],
                    each["send_status"],
                    why(each),
                    each["at"],
                )
                for each in report["recent_failures"]
            ],
        )
    if report["in_doubt"]["count"]:
        show_in_doubt(report["in_doubt"]["jobs"], report["in_doubt"]["count"])
        say(report["in_doubt"]["explanation"])
        say("Look with review_jobs --look; decide with --assume-sent or --resend.")
    if report["next_due_at"]:
        say(f"The next letter is due at {report['next_due_at']}.")
    if report.get("jobs"):
        print_table(
            "All letters",
            ["Entry", "To", "Built", "Sending", "Copy", "Files"],
            [
                (
                    job["entry_id"],
                    job["to"],
                    job["build_status"],
                    job["send_status"],
                    job["imap_status"],
                    "\n".join(job["attachments"]),
                )
                for job in report["jobs"]
            ],
        )


if __name__ == "__main__":
    run(main)
