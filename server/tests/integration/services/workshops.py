"""The workshop of a build on real adapters, for files on a disk."""

from __future__ import annotations

from sqlalchemy.orm import Session, sessionmaker

from app.mailer.adapters.archive import ZipArchiver
from app.mailer.adapters.campaign_files import DiskCampaignFiles
from app.mailer.adapters.pdf_text import pdf_text
from app.mailer.ports import BlobStore, Clock, SecretBox
from app.mailer.services.build_version import Workshop
from tests.integration.services.confinement import no_confined_files


def real_workshop(
    sessions: sessionmaker[Session], blobs: BlobStore, box: SecretBox, clock: Clock
) -> Workshop:
    return Workshop(
        sessions=sessions,
        files_of=DiskCampaignFiles,
        confined_files=no_confined_files,
        pdf_text=pdf_text,
        archive=ZipArchiver(),
        blobs=blobs,
        box=box,
        clock=clock,
        progress=lambda _phase, _done, _total: None,
    )
