"""What the commands that work on a campaign file share: reading it, and showing what was found."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.bootstrap.tools import Tools
from app.mailer.adapters.campaign_files import DiskCampaignFiles
from app.mailer.commands.terminal import (
    coloured,
    letters,
    print_issues,
    print_json_stream,
    print_summary,
    print_table,
    say,
)
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.campaign.shape import read_partly
from app.mailer.domain.errors import CampaignInvalid, MailerError
from app.mailer.domain.issues import EntryState
from app.mailer.domain.letters.letter import Letter
from app.mailer.ports import Progress
from app.mailer.services.build import Built
from app.mailer.services.prepare import Prepared, prepare, prepare_part

#: More than any campaign that a person would want to read.
_MAX_BYTES = 256 * 1024 * 1024


def read_campaign_bytes(path: Path) -> bytes:
    """The content of a campaign file; `MailerError` where there is none to read."""
    try:
        # Never waits for a writer, as opening a pipe would.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MailerError(
                    f"The campaign file {path} is not a regular file.", "Name the JSON file itself."
                )
            if status.st_size > _MAX_BYTES:
                raise MailerError(
                    f"The campaign file {path} has {status.st_size / 1e6:.0f} MB; the most is "
                    f"{_MAX_BYTES / 1e6:.0f} MB.",
                    "Move the entries into a table of their own, under `entries.source`.",
                )
            return file.read(_MAX_BYTES)
    except FileNotFoundError:
        raise MailerError(
            f"There is no campaign file {path}.", "Paths are relative to the current folder."
        ) from None
    except (OSError, ValueError) as error:
        raise MailerError(
            f"The campaign file {path} cannot be read: {getattr(error, 'strerror', error)}.",
            "Name a file that this user may read.",
        ) from error


def prepare_file(
    tools: Tools, path: Path, progress: Progress, *, match: bool
) -> tuple[Prepared, DiskCampaignFiles]:
    """A campaign file with everything in it checked, and the files beside it."""
    text = read_campaign_bytes(path)
    files = tools.files_of(path.parent, path)

    def prepare_one(campaign: Campaign) -> Prepared:
        return prepare(campaign, files, pdf_text=tools.pdf_text, progress=progress, match=match)

    return prepare_part(*read_partly(text), prepare_one), files


def refused_json(error: CampaignInvalid) -> dict[str, object]:
    """A file that is no campaign, in the form that the others have."""
    return {
        "error": error.message,
        "campaign": None,
        "summary": {state.value: 0 for state in EntryState},
        "issues": [issue.as_dict() for issue in error.issues],
        "entries": [],
    }


def entry_json(
    letter: Letter, built: Built | None = None, eml: str | None = None
) -> dict[str, Any]:
    """One entry as `--json` shows it (campaign format, "What the commands print")."""
    entry: dict[str, Any] = {
        "id": letter.id,
        "status": letter.state.value,
        "to": [mailbox.address for mailbox in letter.lists.to],
        "issues": [issue.as_dict() for issue in letter.issues],
    }
    if built is None:
        entry["attachments"] = [
            {
                "rule": chosen.rule.label,
                "path": chosen.shown_path,
                "filename": chosen.shown_filename,
                "size": chosen.file.size,
            }
            for chosen in letter.files
        ]
        return entry
    entry["attachments"] = [
        {
            "rule": each.rule,
            "path": each.path,
            "filename": each.filename,
            "size": each.size,
            "sha256": each.sha256,
            **({"archive": each.archive} if each.archive else {}),
        }
        for each in built.files
    ]
    entry |= {"message_id": built.message_id, "size": built.size, "sha256": built.sha256}
    if eml is not None:
        entry["eml"] = eml
    return entry


def print_prepared_json(
    prepared: Prepared, summary: dict[str, int], entries: Iterable[object]
) -> None:
    """The one object of `validate_campaign`, `resolve_attachments` and `build_messages`."""
    info = prepared.campaign.campaign
    print_json_stream(
        {
            "campaign": {
                "id": info.id,
                "name": info.name,
                "version": prepared.campaign.version,
            },
            "summary": summary,
            "issues": [issue.as_dict() for issue in prepared.issues],
        },
        "entries",
        entries,
    )


def print_prepared(
    prepared: Prepared, summary: dict[str, int], *, verbose: bool, files: bool
) -> None:
    """The same for people: the summary, what is wrong, and with `verbose` every entry."""
    info = prepared.campaign.campaign
    say(f"[bold]{coloured(info.name)}[/] ({coloured(info.id)}, mode {info.mode})")
    print_summary(summary)
    found = prepared.found
    if verbose:
        print_table(
            "Entries",
            ["Entry", "State", "To", "Files"] if files else ["Entry", "State", "To"],
            [
                (
                    letter.id,
                    letter.state.value,
                    ", ".join(mailbox.display for mailbox in letter.lists.to),
                    *(
                        ["\n".join(chosen.shown_filename for chosen in letter.files)]
                        if files
                        else []
                    ),
                )
                for letter in prepared.letters
            ],
        )
    elif files:
        with_files = sum(1 for letter in prepared.letters if letter.files)
        say(f"{with_files} of {len(prepared.letters)} entries have files.")
    if found:
        print_issues(found)
    else:
        say("[green]Nothing is wrong.[/]")
    queueable = summary[EntryState.READY.value] + summary[EntryState.WARNING.value]
    say(f"{queueable} of {letters(len(prepared.letters))} may be sent as they are.")
