"""Files copies of sent letters in the Sent folder of the sender's IMAP account."""

from __future__ import annotations

from typing import Annotated

import typer

from app.bootstrap.program import Program
from app.mailer.commands.interruption import stoppable
from app.mailer.commands.terminal import (
    FINDINGS,
    OK,
    ApiKey,
    AsJson,
    Bar,
    CampaignId,
    Counted,
    coloured,
    parse_uuid,
    print_json,
    run,
    say,
)
from app.mailer.services.append_sent import AppendReport, append_sent, rehearse_append


def main(
    campaign_id: CampaignId,
    api_key: ApiKey,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many would be filed; change nothing.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many copies.")
    ] = None,
    include_failed: Annotated[
        bool, typer.Option("--include-failed", help="Also those that failed before.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """File the copies that are still missing. A copy that is there already is not filed again."""
    program = Program()
    actor = program.actor(api_key)
    campaign = parse_uuid(campaign_id, "--campaign-id")
    if dry_run:
        report = rehearse_append(
            program.sent_box(), actor, campaign, include_failed=include_failed, limit=limit
        )
    else:
        journal = program.journal(actor.tenant_id)
        settled = False
        try:
            with Bar() as bar, stoppable() as stop:
                counted = Counted(bar, "Filing copies")
                report = append_sent(
                    program.sent_box(),
                    actor,
                    campaign,
                    journal=journal,
                    include_failed=include_failed,
                    limit=limit,
                    stop=stop,
                    on_start=counted.start,
                    on_done=counted.done,
                )
            settled = True
        finally:
            # After a fault the file stays, so that the next run knows this one for dead.
            journal.close(settled=settled)
    if as_json:
        print_json(report.as_dict())
    else:
        show_append(report)
    return FINDINGS if report.has_findings else OK


def show_append(report: AppendReport) -> None:
    """The same for people."""
    if report.dry_run:
        say(f"{report.wanted} copies would be filed in the Sent folder.")
        return
    done = ", ".join(
        f"{n} {coloured(each.value.replace('_', ' '))}" for each, n in report.outcomes.items()
    )
    where = f" in {', '.join(coloured(name) for name in sorted(report.folders))}"
    say(f"Copies: {done or 'none was missing'}{where if report.folders else ''}.")
    if report.stopped:
        say(f"[red]Stopped:[/] {coloured(report.stopped)} The letters themselves were sent.")
    elif report.last_error:
        say(f"[yellow]The last failure:[/] {coloured(report.last_error)}")
    if report.failed:
        say(f"{report.failed} copies failed: append_pending_sent --include-failed tries again.")


if __name__ == "__main__":
    run(main)
