"""Sends the queued letters of a campaign from this process, at the campaign's pace."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.bootstrap.program import Program
from app.mailer.commands.append_pending_sent import show_append
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
    letters,
    parse_uuid,
    print_json,
    run,
    say,
)
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.services.append_sent import append_sent
from app.mailer.services.send_campaign import SendReport, rehearse_sending, send_campaign


def main(
    campaign_id: CampaignId,
    api_key: ApiKey,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Prove every letter's bytes; send and change nothing."),
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many letters.")
    ] = None,
    no_rate_limit: Annotated[
        bool, typer.Option("--no-rate-limit", help="Faster than the campaign says.")
    ] = False,
    append_sent_too: Annotated[
        bool, typer.Option("--append-sent", help="Then file the copies in the Sent folder.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Send what is queued and due. Interrupted, it can be run again: nobody gets a letter twice."""
    program = Program()
    actor = program.actor(api_key)
    campaign = parse_uuid(campaign_id, "--campaign-id")
    outbox = program.outbox()
    copies = None
    with Bar() as bar, stoppable() as stop:
        counted = Counted(bar, "Sending")
        if dry_run:
            report = rehearse_sending(
                outbox,
                actor,
                campaign,
                program.tools.record(),
                limit=limit,
                on_start=counted.start,
                on_done=counted.done,
            )
        else:
            journal = program.journal(actor.tenant_id)
            settled = False
            try:
                report = send_campaign(
                    outbox,
                    actor,
                    campaign,
                    journal=journal,
                    limit=limit,
                    rate_limit=not no_rate_limit,
                    stop=stop,
                    on_start=counted.start,
                    on_done=counted.done,
                )
                if append_sent_too and not stop.is_set():
                    filing = Counted(bar, "Filing copies")
                    copies = append_sent(
                        program.sent_box(),
                        actor,
                        campaign,
                        journal=journal,
                        include_failed=False,
                        limit=None,
                        stop=stop,
                        on_start=filing.start,
                        on_done=filing.done,
                    )
                settled = report.stopped is None
            finally:
                journal.close(settled=settled)
    result = _as_json(report)
    if copies is not None:
        result["append_sent"] = copies.as_dict()
    if as_json:
        print_json(result)
    else:
        _show(report)
        if copies is not None:
            show_append(copies)
    found = report.has_findings or (copies is not None and copies.has_findings)
    return FINDINGS if found else OK


def _as_json(report: SendReport) -> dict[str, Any]:
    return {
        "dry_run": report.dry_run,
        "due": report.due,
        "outcomes": {status.value: report.outcomes[status] for status in report.outcomes},
        "recovered": {
            "replayed": report.recovered.replayed,
            "queued_again": report.recovered.queued,
            "in_doubt": report.recovered.in_doubt,
        },
        "waiting": report.waiting,
        "in_doubt": report.in_doubt,
        "next_due": report.next_due,
        "interrupted": report.interrupted,
        "stopped": report.stopped,
        "hint": report.hint,
    }


def _show(report: SendReport) -> None:
    if report.recovered:
        say(
            f"From a run that broke off: {report.recovered.replayed} answers found, "
            f"{letters(report.recovered.queued)} queued again, "
            f"{report.recovered.in_doubt} in doubt."
        )
    if report.dry_run:
        proven = report.outcomes[SendStatus.SENT]
        due = letters(report.due, "that is due", "that are due")
        if report.stopped:
            say(f"{proven} of {due} would not be sent now; the bytes are as built.")
        else:
            say(f"{proven} of {due} would be sent; the bytes are as built.")
        if changed := report.outcomes[SendStatus.FAILED]:
            say(f"[red]{changed} differ from what was built and would not be sent.[/]")
    else:
        done = ", ".join(f"{n} {coloured(s.value)}" for s, n in report.outcomes.items())
        say(f"{done or ('Nothing was tried' if report.due else 'Nothing was due')}.")
    if report.stopped:
        say(f"[red]Stopped:[/] {coloured(report.stopped)}")
        if report.hint:
            say(coloured(report.hint))
    if report.interrupted:
        say("Interrupted; run the same command to go on.")
    if report.waiting and not report.dry_run:
        when = ""
        # What was stopped waits for whatever stopped it, not for its time.
        if report.next_due and not report.stopped:
            when = f", the next from {report.next_due:%Y-%m-%d %H:%M:%S} UTC"
        say(f"{letters(report.waiting, 'still waits', 'still wait')}{when}.")
    if report.in_doubt:
        say(
            f"[red]{letters(report.in_doubt, 'is', 'are')} in doubt:[/] the server may or may "
            "not have accepted what it got. Look there, then decide: review_jobs --assume-sent or "
            "--resend."
        )


if __name__ == "__main__":
    run(main)
