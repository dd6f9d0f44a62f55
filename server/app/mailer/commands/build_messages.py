"""Builds every letter of a campaign file, and writes them as .eml files for review."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import orjson
import typer

from app.bootstrap.tools import make_tools
from app.mailer.adapters.eml_folder import EmlFolder
from app.mailer.commands.campaign_file import (
    entry_json,
    prepare_file,
    print_prepared,
    print_prepared_json,
    refused_json,
)
from app.mailer.commands.terminal import (
    FINDINGS,
    OK,
    AsJson,
    Bar,
    CampaignFile,
    Verbose,
    coloured,
    letters,
    run,
    say,
)
from app.mailer.services.build import build_letters, draft_job_id
from app.mailer.services.prepare import Prepared

_LINE = orjson.OPT_APPEND_NEWLINE


def main(
    campaign: CampaignFile,
    output_dir: Annotated[
        str | None,
        typer.Option("--output-dir", metavar="FOLDER", help="Where to write the .eml files."),
    ] = None,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> int:
    """Build the letters as they would be sent; without --output-dir nothing is written."""
    tools = make_tools()
    lines = io.BytesIO()
    with Bar() as bar:
        prepared, files = prepare_file(tools, Path(campaign), bar, match=True)
        if prepared.blocked:
            return _refuse(prepared, as_json=as_json)
        folder = EmlFolder(Path(output_dir)) if output_dir is not None else None
        campaign_id = prepared.campaign.campaign.id
        built_letters = build_letters(
            prepared,
            files,
            archive=tools.archive,
            build_id=uuid4(),
            job_id_of=lambda letter: draft_job_id(campaign_id, letter.id),
            now=tools.clock.now,
            progress=bar,
        )
        for number, (letter, built) in enumerate(built_letters, start=1):
            eml = None
            if folder is not None and built is not None:
                eml = str(folder.write(number, letter.id, built.chunks()))
            if as_json:
                lines.write(orjson.dumps(entry_json(letter, built, eml), option=_LINE))
    written = folder.finish() if folder is not None else 0
    summary = prepared.summary()
    if as_json:
        print_prepared_json(prepared, summary, _parsed(lines))
    else:
        print_prepared(prepared, summary, verbose=verbose, files=True)
        if output_dir is not None:
            say(f"{letters(written, 'is', 'are')} in {coloured(output_dir)} for review.")
    return FINDINGS if prepared.has_findings else OK


def _refuse(prepared: Prepared, *, as_json: bool) -> int:
    """The campaign itself is at fault: nothing is built, and everything that is wrong is said."""
    summary = prepared.summary()
    if as_json:
        entries = (entry_json(letter) for letter in prepared.letters)
        print_prepared_json(prepared, summary, entries)
    else:
        print_prepared(prepared, summary, verbose=False, files=True)
        say("[red]Nothing was built: mend the campaign first.[/]")
    return FINDINGS


def _parsed(lines: io.BytesIO) -> Iterator[Any]:
    """Held as text in one piece, an entry takes a tenth of the memory that its parts would."""
    lines.seek(0)
    return (orjson.Fragment(line.rstrip()) for line in lines)


if __name__ == "__main__":
    run(main, refused=refused_json)
