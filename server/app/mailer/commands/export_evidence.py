"""Writes the evidence of a campaign version as a ZIP file that can be verified offline."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from app.bootstrap.program import Program
from app.mailer.adapters.whole_file import whole_file
from app.mailer.commands.terminal import (
    OK,
    ApiKey,
    AsJson,
    Bar,
    CampaignId,
    VersionId,
    coloured,
    parse_uuid,
    print_json,
    run,
    say,
)
from app.mailer.domain.errors import MailerError
from app.mailer.services.evidence import export_evidence


def main(
    campaign_id: CampaignId,
    api_key: ApiKey,
    output: Annotated[str, typer.Option("--output", metavar="FILE", help="The ZIP to write.")],
    version_id: VersionId = None,
    messages: Annotated[
        bool, typer.Option("--messages", help="With the bytes of every message.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Write what was sent to whom, what the servers said and who said yes; without secrets."""
    program = Program()
    exported = export_evidence(
        program.record_office(),
        program.actor(api_key),
        parse_uuid(campaign_id, "--campaign-id"),
        version_id=parse_uuid(version_id, "--version-id") if version_id else None,
        with_messages=messages,
    )
    digest = hashlib.sha256()
    size = 0
    try:
        with whole_file(Path(output)) as file, Bar() as bar:
            for piece in exported.pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
                bar("bytes", size, None)
    except OSError as error:
        raise MailerError(
            f"--output: {output} cannot be written: {error.strerror}.", "Name another file."
        ) from error
    if as_json:
        print_json({"file": output, "size": size, "sha256": digest.hexdigest()})
    else:
        say(f"The evidence is in {coloured(output)}: {size} bytes, SHA-256 {digest.hexdigest()}.")
        say("  verify_evidence checks it, anywhere and without the database.")
    return OK


if __name__ == "__main__":
    run(main)
