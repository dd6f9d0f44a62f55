"""Campaigns in a real database: imported, built, and read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import inspect, select, text

from app.access.actor import Actor
from app.db.models import CampaignVersion, Job, JobAttachment, JobIssue, JobMessage, Tenant
from app.db.repositories import access, versions
from app.db.session import make_engine, session_factory
from app.mailer.adapters.blob_folder import FolderBlobStore
from app.mailer.adapters.clock import SystemClock
from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.mime.frame import Frame
from app.mailer.services.build_version import Workshop, build_version, prepare_version
from app.mailer.services.import_campaign import Imported, import_campaign, stored_campaign
from app.mailer.services.queue_campaign import Queued, queue_campaign
from tests.integration.services.pipeline.desk import NOW, Desk
from tests.integration.services.workshops import real_workshop


class Office:
    """One tenant's database, blob store and master key; files stand on the desk."""

    def __init__(self, desk: Desk, url: str, blobs: Path) -> None:
        self.desk = desk
        self.engine = make_engine(url)
        self.sessions = session_factory(self.engine)
        self.box = AesSecretBox(b"k" * 32)
        self.blobs = FolderBlobStore(blobs)
        with self.sessions() as session:
            tenant = access.add_tenant(session, Tenant(slug="acme", name="Acme", created_at=NOW))
            session.commit()
            self.tenant_id = tenant.id
        self.actor = Actor.system(self.tenant_id, "Ada", ["*"])

    def workshop(self) -> Workshop:
        return real_workshop(self.sessions, self.blobs, self.box, SystemClock())

    def take(self, campaign: dict[str, Any] | bytes, actor: Actor | None = None) -> Imported:
        """Imports a campaign from the desk."""
        data = campaign if isinstance(campaign, bytes) else json.dumps(campaign).encode()
        with self.sessions() as session:
            imported = import_campaign(
                session,
                actor or self.actor,
                data,
                folder=str(self.desk.folder),
                source_filename="campaign.json",
                clock=SystemClock(),
                box=self.box,
            )
            session.commit()
            return imported

    def build(self, version_id: UUID) -> dict[str, int]:
        workshop = self.workshop()
        prepared = prepare_version(workshop, self.actor, version_id)
        return build_version(workshop, self.actor, version_id, prepared)

    def queue(
        self, campaign_id: UUID, *, version_id: UUID | None = None, dry_run: bool = False
    ) -> Queued:
        with self.sessions() as session:
            queued = queue_campaign(
                session,
                self.actor,
                campaign_id,
                version_id=version_id,
                include_warnings=True,
                again=False,
                dry_run=dry_run,
                clock=SystemClock(),
                box=self.box,
            )
            session.commit()
            return queued

    def version(self, version_id: UUID) -> CampaignVersion:
        with self.sessions() as session:
            return versions.get(session, self.tenant_id, version_id)

    def campaign(self, version_id: UUID) -> Campaign:
        """As it comes out again, secrets in their places."""
        with self.sessions() as session:
            return stored_campaign(versions.get(session, self.tenant_id, version_id), self.box)

    def jobs(self, version_id: UUID) -> Sequence[Job]:
        with self.sessions() as session:
            return session.scalars(
                select(Job).where(Job.version_id == version_id).order_by(Job.position)
            ).all()

    def message(self, job: Job) -> bytes:
        """The stored message, with its files from the blob store."""
        with self.sessions() as session:
            frame = session.scalars(
                select(JobMessage.frame).where(JobMessage.job_id == job.id)
            ).one()
        read = Frame.decode(frame).chunks(lambda ref: self.blobs.get(self.tenant_id, ref))
        return b"".join(read)

    def issues(self, version_id: UUID) -> Sequence[JobIssue]:
        with self.sessions() as session:
            return session.scalars(
                select(JobIssue).where(JobIssue.version_id == version_id).order_by(JobIssue.id)
            ).all()

    def files(self, job: Job) -> Sequence[JobAttachment]:
        with self.sessions() as session:
            return session.scalars(
                select(JobAttachment)
                .where(JobAttachment.job_id == job.id)
                .order_by(JobAttachment.position)
            ).all()

    def everything(self) -> str:
        """Every cell of every table, as text; bytes as their Latin-1 characters."""
        shown: list[str] = []
        with self.engine.connect() as connection:
            for table in inspect(connection).get_table_names():
                for row in connection.execute(text(f'select * from "{table}"')):
                    shown += [
                        bytes(cell).decode("latin-1")
                        if isinstance(cell, bytes | memoryview)
                        else str(cell)
                        for cell in row
                    ]
        return "\n".join(shown)

    def file_bytes(self) -> bytes:
        """The database's own files, where it is SQLite."""
        path = self.engine.url.database
        if self.engine.dialect.name != "sqlite" or path is None:
            return b""
        return b"".join(
            file.read_bytes() for file in sorted(Path(path).parent.glob(f"{Path(path).name}*"))
        )
