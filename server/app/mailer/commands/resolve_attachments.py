"""Matches files to entries, and shows who gets what, without building or sending anything."""

from __future__ import annotations

from pathlib import Path

from app.bootstrap.tools import make_tools
from app.mailer.commands.campaign_file import (
    entry_json,
    prepare_file,
    print_prepared,
    print_prepared_json,
    refused_json,
)
from app.mailer.commands.terminal import FINDINGS, OK, AsJson, Bar, CampaignFile, Verbose, run


def main(campaign: CampaignFile, verbose: Verbose = False, as_json: AsJson = False) -> int:
    """Show which files each entry gets, and what is missing, ambiguous or left over."""
    with Bar() as bar:
        prepared, _files = prepare_file(make_tools(), Path(campaign), bar, match=True)
    summary = prepared.summary()
    if as_json:
        entries = (entry_json(letter) for letter in prepared.letters)
        print_prepared_json(prepared, summary, entries)
    else:
        print_prepared(prepared, summary, verbose=verbose, files=True)
    return FINDINGS if prepared.has_findings else OK


if __name__ == "__main__":
    run(main, refused=refused_json)
