"""Lists what waits for a person, before sending and after; records who decided, when and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Annotated, Any
from uuid import UUID

import typer

from app.access.actor import Actor
from app.bootstrap.program import Program
from app.mailer.commands.interruption import stoppable
from app.mailer.commands.terminal import (
    FINDINGS,
    OK,
    ApiKey,
    AsJson,
    CampaignId,
    VersionId,
    coloured,
    parse_uuid,
    print_json,
    print_table,
    run,
    say,
)
from app.mailer.commands.unsettled import show_failed, show_in_doubt
from app.mailer.domain.delivery.job import Decision, Event
from app.mailer.domain.delivery.review import RESEND_WARNING
from app.mailer.domain.errors import MailerError
from app.mailer.services.open_reviews import ReviewPage, open_reviews
from app.mailer.services.reconcile import Looked, reconcile
from app.mailer.services.report import unsettled
from app.mailer.services.review import Selection, Settled, decide, resolve
from app.mailer.services.ring import ring_for_sending

_PAGE = 200


def main(
    campaign_id: CampaignId,
    api_key: ApiKey,
    version_id: VersionId = None,
    entry: Annotated[
        list[str] | None,
        typer.Option("--entry", metavar="ID", help="Which entry; repeat it for several."),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option("--code", help="All undecided ones with this issue, e.g. shared-file."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that wait for this decision.")] = False,
    accept: Annotated[bool, typer.Option("--accept", help="Send it as it was built.")] = False,
    exclude: Annotated[bool, typer.Option("--exclude", help="Do not send it.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Failed: try it again.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Queued: stop it.")] = False,
    assume_sent: Annotated[
        bool, typer.Option("--assume-sent", help="In doubt: it did arrive.")
    ] = False,
    resend: Annotated[
        bool, typer.Option("--resend", help="In doubt: send it again; it may arrive twice.")
    ] = False,
    look: Annotated[
        bool,
        typer.Option(
            "--look", help="In doubt: look for them in the Sent folder; what is there was sent."
        ),
    ] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; kept with the decision.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List what needs a decision or, with --accept, --exclude and the others, decide it."""
    asked: dict[Decision | Event, bool] = {
        Decision.ACCEPT: accept,
        Decision.EXCLUDE: exclude,
        Event.RETRY: retry,
        Event.CANCEL: cancel,
        Event.ASSUME_SENT: assume_sent,
        Event.RESEND: resend,
    }
    chosen = [choice for choice, wanted in asked.items() if wanted]
    if len(chosen) + look > 1:
        raise MailerError("Only one decision at a time.", "Name one of the options.")
    program = Program()
    actor = program.actor(api_key)
    campaign = parse_uuid(campaign_id, "--campaign-id")
    version = parse_uuid(version_id, "--version-id") if version_id else None
    if look:
        if version or entry or code or every:
            raise MailerError("--look looks for all of the campaign that are in doubt.")
        return _look(program, actor, campaign, as_json=as_json)
    if not chosen:
        _list(program, actor, campaign, version, as_json=as_json)
        return OK
    if (entry is not None) + (code is not None) + every != 1:
        raise MailerError("Which ones?", "Give either --entry (once or more), --code or --all.")
    with program.sessions() as session:
        common: dict[str, Any] = {
            "version_id": version,
            "reason": reason or "",
            "now": program.clock.now(),
        }
        choice = chosen[0]
        if isinstance(choice, Decision):
            selection = Selection(entry, code)
            settled = decide(
                session, actor, campaign, selection=selection, decision=choice, **common
            )
        elif code is not None:
            raise MailerError("--code goes with --accept and --exclude.", "Use --entry or --all.")
        else:
            settled = resolve(
                session,
                actor,
                campaign,
                selection=Selection(entry),
                event=choice,
                box=program.box,
                **common,
            )
        session.commit()
    hint = None
    if settled.entries and choice in (Event.RETRY, Event.RESEND):
        hint = ring_for_sending(program.bell, actor.tenant_id, settled.version_id)
    if as_json:
        print_json(asdict(settled))
    else:
        _show_settled(choice, settled)
        if hint is not None:
            say(coloured(hint))
    return OK


def _look(program: Program, actor: Actor, campaign: UUID, *, as_json: bool) -> int:
    folders = program.open_folders()
    try:
        with stoppable() as stop:
            looked = reconcile(folders, actor, campaign, stop=stop)
    finally:
        folders.close_idle(-inf)
    if as_json:
        print_json(looked.as_dict())
    else:
        _show_looked(looked)
    return FINDINGS if looked.in_doubt or looked.stopped else OK


def _show_looked(looked: Looked) -> None:
    named = f" ({', '.join(coloured(entry) for entry in looked.found[:20])})"
    say(f"Found in the Sent folder, so sent: {len(looked.found)}{named if looked.found else ''}.")
    say(f"Not there, which proves nothing: {looked.absent}. In doubt: {looked.in_doubt}.")
    if looked.stopped:
        say(f"[red]Stopped:[/] {coloured(looked.stopped)}")


def _list(
    program: Program, actor: Actor, campaign: UUID, version: UUID | None, *, as_json: bool
) -> None:
    pages: list[ReviewPage] = []
    with program.reading() as session:
        after = -1
        while True:
            page = open_reviews(
                session, actor, campaign, version_id=version, after=after, limit=_PAGE
            )
            pages.append(page)
            if page.next_after is None or not as_json:
                break
            after = page.next_after
        later = unsettled(session, actor, campaign, version_id=pages[0].version_id)
    reviews = [review for page in pages for review in page.reviews]
    first = pages[0]
    if as_json:
        print_json(
            {
                "version_id": first.version_id,
                "version": first.version_number,
                "undecided": first.undecided,
                "reviews": reviews,
                **later,
            }
        )
        return
    if reviews:
        _show_reviews(reviews, first.undecided)
    for letters, show, choices in (
        (later["in_doubt"], show_in_doubt, "--assume-sent or --resend (before that, --look)"),
        (later["failed"], show_failed, "--retry"),
    ):
        if letters:
            show(letters[:_PAGE], len(letters))
            say(f"Decide: --entry ID {choices} --reason '…'; --all for all of them.")
    if not (reviews or later["in_doubt"] or later["failed"]):
        say("Nothing waits for a decision.")
    for other in later["other_versions"]:
        say(
            f"Version {other['number']} has {other['in_doubt']} in doubt and {other['failed']} "
            f"failed: --version-id {other['id']} lists them."
        )


def _show_reviews(reviews: Sequence[Mapping[str, Any]], undecided: int) -> None:
    print_table(
        f"{undecided} wait for a decision",
        ["Entry", "To", "Files", "What", "What to do"],
        [
            (
                review["entry_id"],
                review["to"],
                "\n".join(each["filename"] for each in review["attachments"]),
                "\n".join(f"{each['code']}: {each['message']}" for each in review["issues"]),
                "\n".join(each["hint"] for each in review["issues"]),
            )
            for review in reviews
        ],
    )
    if undecided > len(reviews):
        say(f"… and {undecided - len(reviews)} more; --json lists all.")
    say("Decide: --entry ID --accept --reason '…', or --exclude; --all and --code for many.")


def _show_settled(choice: Decision | Event, settled: Settled) -> None:
    named = ", ".join(coloured(entry) for entry in settled.entries[:20])
    more = f" and {len(settled.entries) - 20} more" if len(settled.entries) > 20 else ""
    say(f"{choice.value.replace('_', ' ')}: {len(settled.entries)} ({named}{more}).")
    if choice is Event.RESEND:
        say(f"[yellow]{RESEND_WARNING}[/]")
    for entry, why in list(settled.left.items())[:20]:
        say(f"Left as it was: {coloured(entry)} ({coloured(why)}).")


if __name__ == "__main__":
    run(main)
