"""Checks a campaign file: its shape, its entries and, with --check-files, what it refers to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.bootstrap.tools import make_tools
from app.mailer.commands.campaign_file import (
    entry_json,
    prepare_file,
    print_prepared,
    print_prepared_json,
    refused_json,
)
from app.mailer.commands.terminal import FINDINGS, OK, AsJson, Bar, CampaignFile, Verbose, run, say


def main(
    campaign: CampaignFile,
    check_files: Annotated[
        bool,
        typer.Option("--check-files", help="Also look at the attachments and images on disk."),
    ] = False,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> int:
    """Check a campaign file, and report everything that is wrong at once."""
    with Bar() as bar:
        prepared, _files = prepare_file(make_tools(), Path(campaign), bar, match=check_files)
    summary = prepared.summary()
    if as_json:
        entries = (entry_json(letter) for letter in prepared.letters)
        print_prepared_json(prepared, summary, entries)
    else:
        print_prepared(prepared, summary, verbose=verbose, files=check_files)
        if not check_files:
            say("Attachments and images were not looked at: --check-files does that.")
    return FINDINGS if prepared.has_findings else OK


if __name__ == "__main__":
    run(main, refused=refused_json)
