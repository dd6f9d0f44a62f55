"""Imports a campaign file into the database as its next version; can check and build it too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.bootstrap.program import Program
from app.mailer.commands.campaign_file import read_campaign_bytes
from app.mailer.commands.terminal import (
    FINDINGS,
    OK,
    ApiKey,
    AsJson,
    Bar,
    CampaignFile,
    coloured,
    print_issues,
    print_json,
    print_summary,
    run,
    say,
)
from app.mailer.domain.errors import MailerError
from app.mailer.services.build_version import build_version, prepare_version, record_validation
from app.mailer.services.import_campaign import import_campaign


def main(
    campaign: CampaignFile,
    api_key: ApiKey,
    validate: Annotated[
        bool, typer.Option("--validate", help="Check it, and keep what was found.")
    ] = False,
    build: Annotated[
        bool, typer.Option("--build", help="Freeze every letter, ready for queueing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Import a campaign file; the same campaign again becomes its next version."""
    program = Program()
    actor = program.actor(api_key)
    path = Path(campaign)
    text = read_campaign_bytes(path)
    folder = str(path.parent.resolve())
    try:
        f"{folder}{path}".encode()
    except UnicodeEncodeError:
        raise MailerError(
            f"The path {path} holds bytes that are no text, so it cannot be stored.",
            "Rename the file or its folder.",
        ) from None
    with program.sessions() as session:
        imported = import_campaign(
            session,
            actor,
            text,
            folder=folder,
            source_filename=str(path),
            clock=program.clock,
            box=program.box,
        )
        session.commit()
    result: dict[str, object] = {
        "campaign_id": imported.campaign_id,
        "external_id": imported.external_id,
        "name": imported.name,
        "version_id": imported.version_id,
        "version": imported.version_number,
        "validated": False,
        "built": False,
    }
    if not as_json:
        say(f"Imported [bold]{coloured(imported.name)}[/], version {imported.version_number}.")
        say(f"Campaign id: {imported.campaign_id}")
        say(f"Version id:  {imported.version_id}")
    if not validate and not build:
        if as_json:
            print_json(result)
        return OK

    with Bar() as bar:
        workshop = program.workshop(bar)
        prepared = prepare_version(workshop, actor, imported.version_id)
        if validate:
            record_validation(workshop, actor, imported.version_id, prepared)
        built = build and not prepared.blocked
        summary = (
            build_version(workshop, actor, imported.version_id, prepared)
            if built
            else prepared.summary()
        )
    issues = prepared.found
    if as_json:
        result |= {
            "validated": validate,
            "built": built,
            "summary": summary,
            "issues": [issue.as_dict() for issue in issues],
        }
        print_json(result)
    else:
        print_summary(summary)
        if issues:
            print_issues(issues)
        if built:
            say("Built: every letter is frozen, and may be queued where nothing stands against it.")
        elif build:
            say("[red]Not built: mend the campaign first, then import it again.[/]")
    return FINDINGS if prepared.has_findings else OK


if __name__ == "__main__":
    run(main)
