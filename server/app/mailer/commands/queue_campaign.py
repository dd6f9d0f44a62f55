"""Queues a built campaign: what may be sent becomes due."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from app.bootstrap.program import Program
from app.mailer.commands.terminal import (
    FINDINGS,
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
from app.mailer.services.queue_campaign import Queued, queue_campaign

_LEFT_OUT = {
    "needs_review": "need a decision (review_jobs)",
    "blocked": "are blocked",
    "excluded": "are excluded",
    "inactive": "are inactive",
    "warnings_left_out": "have warnings, and those were left out",
    "already_queued": "were queued before",
    "already_sent": "got an earlier version of this campaign (--again sends them this one too)",
}


def main(
    campaign_id: CampaignId,
    api_key: ApiKey,
    version_id: VersionId = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be queued; change nothing.")
    ] = False,
    exclude_warnings: Annotated[
        bool, typer.Option("--exclude-warnings", help="Queue only what is entirely in order.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Also those who got an earlier version of this campaign."),
    ] = False,
    no_celery: Annotated[
        bool,
        typer.Option("--no-celery", help="Only mark as due; send_queued_jobs sends them."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Queue every letter that may be sent; what needs a decision or is blocked stays behind.

    --dry-run also says what would refuse it; then the exit code is 1.
    """
    # There is no broker to tell: queued letters wait in the database with or without the flag.
    del no_celery
    program = Program()
    actor = program.actor(api_key)
    with program.sessions() as session:
        queued = queue_campaign(
            session,
            actor,
            parse_uuid(campaign_id, "--campaign-id"),
            version_id=parse_uuid(version_id, "--version-id") if version_id else None,
            include_warnings=not exclude_warnings,
            again=again,
            dry_run=dry_run,
            clock=program.clock,
            box=program.box,
        )
        session.commit()
    if as_json:
        print_json(asdict(queued))
    else:
        _show(queued)
    waiting = queued.queued or queued.already_queued
    return OK if waiting and not queued.would_be_refused else FINDINGS


def _show(queued: Queued) -> None:
    if queued.would_be_refused:
        say("[red]This would be refused:[/]")
        for each in queued.would_be_refused:
            say(coloured(f"{each.detail} {each.hint}".rstrip()))
        one = more = "could be queued then"
    elif queued.dry_run:
        one = more = "would be queued"
    else:
        one, more = "is queued", "are queued"
    of_version = f"of version {queued.version_number}"
    say(f"{letters(queued.queued, f'{of_version} {one}', f'{of_version} {more}')}.")
    left_out = [
        (count, reason) for name, reason in _LEFT_OUT.items() if (count := getattr(queued, name))
    ]
    if left_out:
        print_table("Not queued", ["Letters", "because they"], left_out, right=["Letters"])
    if queued.paused is not None:
        say(coloured(queued.paused))
        say("What is queued leaves once it is resumed.")
    elif queued.queued and not queued.dry_run:
        say(f"They may leave from {queued.due_at:%Y-%m-%d %H:%M} UTC on: run send_queued_jobs.")


if __name__ == "__main__":
    run(main)
