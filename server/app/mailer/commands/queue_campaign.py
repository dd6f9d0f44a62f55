"""Queues a built campaign: what may be sent becomes due, all of it or a sample."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
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
from app.mailer.domain.delivery.sample import Chosen, First, Random, Sample
from app.mailer.domain.errors import MailerError
from app.mailer.services.queue_campaign import Queued, queue_campaign
from app.mailer.services.ring import ring_for_sending
from app.settings import Settings

_LEFT_OUT = {
    "needs_review": "need a decision (review_jobs)",
    "blocked": "are blocked",
    "excluded": "are excluded",
    "inactive": "are inactive",
    "warnings_left_out": "have warnings, and those were left out",
    "already_queued": "were queued before",
    "already_sent": "got an earlier version of this campaign (--again sends them this one too)",
    "not_in_sample": "are not in the sample (queue again for the rest)",
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
    first: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", help="Only the first N, in order.", min=1),
    ] = None,
    random: Annotated[
        int | None,
        typer.Option("--random-sample", metavar="N", help="Only N of them, by chance.", min=1),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="NUMBER", help="The random sample that a dry run drew.", min=0
        ),
    ] = None,
    entry: Annotated[
        list[str] | None,
        typer.Option("--entry", metavar="ID", help="Only this entry; repeat it for several."),
    ] = None,
    not_before: Annotated[
        str | None,
        typer.Option(
            "--not-before",
            metavar="TIME",
            help="Nothing leaves earlier, e.g. 2026-12-01T08:00+01:00.",
        ),
    ] = None,
    no_celery: Annotated[
        bool,
        typer.Option("--no-celery", help="Wake no worker; send_queued_jobs sends them."),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Queue every letter that may be sent; what needs a decision or is blocked stays behind.

    --sample, --random-sample or --entry queue only some; queueing again takes the rest.

    --dry-run also says what would refuse it; then the exit code is 1.
    """
    sample = _sample(first, random, seed, entry)
    moment = _moment(not_before)
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
            sample=sample,
            not_before=moment,
        )
        session.commit()
    hint = None
    if queued.leaves_by(program.clock.now()) and not no_celery:
        hint = ring_for_sending(program.bell, actor.tenant_id, queued.version_id)
    if as_json:
        print_json({**asdict(queued), "hint": hint})
    else:
        _show(queued)
        _show_way(queued, program.settings, hint, wake=not no_celery)
    waiting = queued.queued or queued.already_queued
    return OK if waiting and not queued.would_be_refused else FINDINGS


def _sample(
    first: int | None, random: int | None, seed: int | None, entries: list[str] | None
) -> Sample | None:
    if sum(each is not None for each in (first, random, entries)) > 1:
        raise MailerError("Which ones?", "Give one of --sample, --random-sample and --entry.")
    if seed is not None and random is None:
        raise MailerError("A seed draws a random sample.", "Use it with --random-sample.")
    if first is not None:
        return First(first)
    if random is not None:
        return Random(random, seed)
    return None if entries is None else Chosen(tuple(entries))


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise MailerError(
            f"--not-before {text} is no time.", "Write it like 2026-12-01T08:00+01:00."
        ) from None


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
    if queued.seed is not None:
        say(f"They were drawn by chance; --seed {queued.seed} draws the same ones.")
    if left_out:
        print_table("Not queued", ["Letters", "because they"], left_out, right=["Letters"])
    if queued.paused is not None:
        say(coloured(queued.paused))
        say("What is queued leaves once it is resumed.")


def _show_way(queued: Queued, settings: Settings, hint: str | None, *, wake: bool) -> None:
    """When they leave, and who sends them."""
    if not queued.queued or queued.dry_run or queued.paused is not None:
        return
    start = f"{queued.due_at:%Y-%m-%d %H:%M} UTC"
    if queued.starts_at is not None:
        say(f"They are planned to leave from {start} on. A start missed by an hour waits for you.")
    else:
        say(f"They may leave from {start} on.")
    if settings.sends_itself:
        say("The service sends them while it runs; without it, run send_queued_jobs.")
    elif settings.redis_url is not None and wake:
        say("The workers send them; where none runs, run send_queued_jobs.")
    elif settings.redis_url is not None:
        say("Run send_queued_jobs; workers that run find them, too.")
    else:
        say("Run send_queued_jobs.")
    if hint is not None:
        say(coloured(hint))


if __name__ == "__main__":
    run(main)
