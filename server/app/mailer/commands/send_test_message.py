"""Sends one letter of a campaign file to a tester; its real recipients get nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.bootstrap.tools import make_overrides, make_tools
from app.mailer.adapters.whole_file import whole_file
from app.mailer.commands.campaign_file import prepare_file
from app.mailer.commands.terminal import (
    FINDINGS,
    OK,
    AsJson,
    Bar,
    CampaignFile,
    coloured,
    print_json,
    run,
    say,
)
from app.mailer.domain.errors import MailerError
from app.mailer.domain.mailbox import InvalidMailbox, Mailbox, parse_mailbox
from app.mailer.ports import Security
from app.mailer.services.server_access import SmtpOverrides, smtp_access
from app.mailer.services.trial import NotTaken, build_trial, send_trial


def main(
    campaign: CampaignFile,
    to: Annotated[str, typer.Option("--to", metavar="ADDRESS", help="Who gets it.")],
    entry: Annotated[
        str | None,
        typer.Option("--entry", metavar="ID", help="Whose letter; else the first in order."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything but reach the mail server.")
    ] = False,
    write_eml: Annotated[
        str | None, typer.Option("--write-eml", metavar="FILE", help="Also write it to a file.")
    ] = None,
    smtp_host: Annotated[str | None, typer.Option("--smtp-host")] = None,
    smtp_port: Annotated[int | None, typer.Option("--smtp-port", min=1, max=65535)] = None,
    smtp_security: Annotated[Security | None, typer.Option("--smtp-security")] = None,
    smtp_username: Annotated[str | None, typer.Option("--smtp-username")] = None,
    as_json: AsJson = False,
) -> int:
    """Send one letter to a tester. The password comes from MULTIMAILER_SMTP_PASSWORD."""
    tools = make_tools()
    tester = _tester(to)
    with Bar() as bar:
        prepared, files = prepare_file(tools, Path(campaign), bar, match=True)
        trial = build_trial(
            prepared,
            files,
            tester,
            entry_id=entry,
            archive=tools.archive,
            clock=tools.clock,
            progress=bar,
        )
    if write_eml is not None:
        _write(Path(write_eml), b"".join(trial.built.chunks()))
    flags = SmtpOverrides(smtp_host, smtp_port, smtp_security, smtp_username)
    result = {
        "entry": trial.letter.id,
        "to": tester.address,
        "dry_run": dry_run,
        "size": trial.built.size,
        "sha256": trial.built.sha256,
        "message_id": trial.built.message_id,
        "eml": write_eml,
    }
    transport = (
        tools.record()
        if dry_run
        else tools.connect(smtp_access(prepared.campaign, flags | make_overrides()))
    )
    try:
        reply = send_trial(trial, tester, transport)
    except NotTaken as error:
        if as_json:
            print_json(result | {"sent": False, "error": error.message, "hint": error.hint})
        else:
            say(f"[red]Not sent.[/] {coloured(error.message)}")
            say(coloured(error.hint))
        return FINDINGS
    if as_json:
        print_json(result | {"sent": not dry_run, "reply": f"{reply.code} {reply.text}"})
    else:
        done = "Would be sent" if dry_run else "[green]Sent[/]"
        say(
            f"{done}: the letter of “{coloured(trial.letter.id)}” to {coloured(tester.display)}, "
            f"{trial.built.size} bytes, {len(trial.built.files)} files."
        )
        if not dry_run:
            say(f"The server said: {reply.code} {coloured(reply.text)}")
        if write_eml is not None:
            say(f"Its bytes are in {coloured(write_eml)}.")
    return OK


def _tester(to: str) -> Mailbox:
    try:
        return parse_mailbox(to)
    except InvalidMailbox as error:
        raise MailerError(f"--to: {error}", "Write it as name@example.org.") from error


def _write(path: Path, content: bytes) -> None:
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise MailerError(
            f"--write-eml: {path} cannot be written: {error.strerror}.", "Name another file."
        ) from error


if __name__ == "__main__":
    run(main)
