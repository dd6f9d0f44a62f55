"""A campaign on a real disk: its folder, and the way from its file to frozen letters."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from uuid import UUID

from app.mailer.adapters.archive import ZipArchiver
from app.mailer.adapters.campaign_files import DiskCampaignFiles
from app.mailer.adapters.pdf_text import pdf_text
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.issues import Issue
from app.mailer.domain.letters.letter import Letter
from app.mailer.services.build import Built, build_letters, draft_job_id
from app.mailer.services.prepare import Prepared, prepare, read_campaign

NOW = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
BUILD = UUID(int=7)

_spec = importlib.util.spec_from_file_location(
    "bench_pdf", Path(__file__).parents[5] / "bench" / "pdf.py"
)
assert _spec is not None
assert _spec.loader is not None
_pdf = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_pdf)
tiny_pdf: Callable[..., bytes] = _pdf.tiny_pdf


def entry(number: int = 0, **parts: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "to": [f"p{number}@example.org"], **parts}


def document(**parts: Any) -> dict[str, Any]:
    """A sound campaign of one entry, `e0`; `parts` replace its keys."""
    return {
        "version": "1.0",
        "campaign": {"id": "cards", "name": "Cards", "mode": "draft"},
        "recipients": {"from": "Office <office@example.org>"},
        "template": {"subject": "Your card", "text": "Good day."},
        "entries": {"inline": [entry()]},
        "delivery": {"imap_append_sent": {"enabled": False}},
        **parts,
    }


def silent(_phase: str, _done: int, _total: int | None) -> None:
    """Nobody listens to the progress."""


class Desk:
    """A folder with a campaign's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, data: str | bytes = b"x") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    def files(self) -> DiskCampaignFiles:
        return DiskCampaignFiles(self.folder)

    def prepare(self, campaign: dict[str, Any], **options: Any) -> Prepared:
        return self.prepare_read(read_campaign(json.dumps(campaign)), **options)

    def prepare_read(self, campaign: Campaign, **options: Any) -> Prepared:
        return prepare(
            campaign, self.files(), **{"pdf_text": pdf_text, "progress": silent, **options}
        )

    def building(self, prepared: Prepared) -> Iterator[tuple[Letter, Built | None]]:
        """Each letter as it is built."""
        return build_letters(
            prepared,
            self.files(),
            archive=ZipArchiver(),
            build_id=BUILD,
            job_id_of=lambda letter: draft_job_id("cards", letter.id),
            now=lambda: NOW,
            progress=silent,
        )

    def build(self, prepared: Prepared) -> list[tuple[Letter, Built | None]]:
        return list(self.building(prepared))

    def letters(self, campaign: dict[str, Any]) -> dict[str, tuple[Letter, Built | None]]:
        """Each letter and its message by entry id, prepared and built."""
        prepared = self.prepare(campaign)
        return {letter.id: (letter, built) for letter, built in self.build(prepared)}

    def message(self, campaign: dict[str, Any], entry_id: str = "e0") -> EmailMessage:
        """One entry's message as a reader's program takes it."""
        letter, built = self.letters(campaign)[entry_id]
        assert built is not None, letter.issues
        return parsed(built)


def parsed(built: Built) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(raw(built))
    assert isinstance(message, EmailMessage)
    return message


def raw(built: Built) -> bytes:
    """The bytes as SMTP sends them."""
    return b"".join(built.chunks())


def codes(issues: list[Issue]) -> list[str]:
    return [issue.code for issue in issues]


def attachments(message: EmailMessage) -> dict[str, bytes]:
    """The files of a message by name."""
    return {
        str(part.get_filename()): part.get_payload(decode=True)  # type: ignore[misc]
        for part in message.iter_attachments()
    }
