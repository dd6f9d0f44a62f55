"""Import a campaign that came by the API: it reads uploads and what the operator allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.db.base import dump_document
from app.mailer.domain.campaign.json_text import BrokenJson, parse_json
from app.mailer.domain.campaign.shape import unstorable
from app.mailer.domain.codes import CODES
from app.mailer.domain.errors import CampaignInvalid, MailerError
from app.mailer.domain.files.confinement import UPLOADS
from app.mailer.domain.issues import Issue
from app.mailer.ports import Clock, SecretBox
from app.mailer.services.import_campaign import Imported, import_campaign


def take_campaign(
    session: Session,
    actor: Actor,
    body: bytes,
    *,
    here: Path,
    roots: Sequence[str],
    clock: Clock,
    box: SecretBox,
) -> Imported:
    """Import the body of a request: an object with `config` and perhaps `source_filename`.

    With a `source_filename` that has a folder (relative to `here`), paths in the campaign begin
    there, and it has to be below one of `roots`; else they begin at the tenant's uploads. Raises
    `CampaignInvalid` with everything that is wrong. The caller commits.
    """
    document = exact_object(body)
    source = document.get("source_filename")
    if not isinstance(source, str | None):
        raise MailerError("`source_filename` is not text.")
    folder = UPLOADS if source is None else _folder(source, here, roots)
    return import_campaign(
        session,
        actor,
        dump_document(document.get("config")).encode(),
        folder=folder,
        source_filename=source,
        clock=clock,
        box=box,
        confined=True,
    )


def exact_object(body: bytes) -> dict[str, Any]:
    """The object in a request, its numbers as they were spelled (`1.10` stays `1.10`).

    Raises `CampaignInvalid` for what JSON can spell, and nobody can mean or store: a key that
    stands twice, half a character. Pointers begin in the member that is at fault.
    """
    try:
        document, found = parse_json(body)
    except BrokenJson as error:
        raise CampaignInvalid([error.issue]) from None
    if found := found or unstorable(document):
        raise CampaignInvalid([replace(each, pointer=_inner(each.pointer)) for each in found])
    return document if isinstance(document, dict) else {}


def _inner(pointer: str) -> str:
    return "/" + "/".join(pointer.split("/")[2:]) if pointer.count("/") > 1 else pointer


def _folder(source_filename: str, here: Path, roots: Sequence[str]) -> str:
    """Where the campaign's relative paths begin."""
    if "/" not in source_filename:
        # The name of a file on somebody's own machine.
        return UPLOADS
    try:
        folder = (here / source_filename).resolve().parent
        within = any(folder.is_relative_to(Path(root).resolve()) for root in roots)
    except (OSError, ValueError, RuntimeError):
        within = False
    if not within:
        raise CampaignInvalid(
            [
                Issue(
                    "path-outside-roots",
                    CODES["path-outside-roots"].severity,
                    "/source_filename",
                    "The campaign file is in none of the folders that campaigns may read here.",
                    "Leave `source_filename` out and upload the files, or have the operator add "
                    "the folder to FILE_ROOTS.",
                )
            ]
        )
    return str(folder)
