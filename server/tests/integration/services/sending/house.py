"""A whole installation around one database, and small campaigns in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor
from app.access.scopes import Scope
from app.db.models import ImapAppendAttempt, Job, SendAttempt, Tenant
from app.db.repositories import access
from app.db.repositories.delivery import Claimed
from app.db.session import make_engine, session_factory
from app.mailer.adapters.blob_folder import FolderBlobStore
from app.mailer.adapters.journal import FileJournal
from app.mailer.adapters.limiter_memory import MemoryLimiter
from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.ports import BlobStore, Journal, MailTransport, RateLimiter, ServerAccess
from app.mailer.services.build_version import Workshop, build_version, prepare_version
from app.mailer.services.import_campaign import Imported, import_campaign
from app.mailer.services.open_lane import Outbox
from app.mailer.services.queue_campaign import Queued, queue_campaign
from app.mailer.services.send_campaign import SendReport, send_campaign
from app.mailer.services.server_access import SmtpOverrides
from tests.integration.services.workshops import real_workshop
from tests.servers.smtp import SmtpServer

START = datetime(2026, 3, 2, 12, tzinfo=UTC)


class HandClock:
    """A clock that moves when somebody sleeps, or when the test says so."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return START + timedelta(seconds=self._seconds)

    def monotonic(self) -> float:
        return self._seconds

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._seconds += seconds


@dataclass
class House:
    """Everything that sending needs, on real adapters but for the clock."""

    sessions: sessionmaker[Session]
    folder: Path
    actor: Actor
    clock: HandClock = field(default_factory=HandClock)
    box: AesSecretBox = field(default_factory=lambda: AesSecretBox(bytes(32)))
    connect: Callable[[ServerAccess], MailTransport] = SmtpTransport
    on_done: Callable[[Claimed, SendStatus], None] = lambda _job, _status: None
    window: int = 1

    def __post_init__(self) -> None:
        self.blobs: BlobStore = FolderBlobStore(self.folder / "blobs")
        self.limiter: RateLimiter = MemoryLimiter(self.clock)
        self.journals = self.folder / "journal"

    # -- campaigns

    @property
    def workshop(self) -> Workshop:
        return real_workshop(self.sessions, self.blobs, self.box, self.clock)

    def build(self, document: dict[str, Any]) -> Imported:
        """Import and build one version."""
        with self.sessions() as session:
            imported = import_campaign(
                session,
                self.actor,
                json.dumps(document).encode(),
                folder=str(self.folder),
                source_filename="campaign.json",
                clock=self.clock,
                box=self.box,
            )
            session.commit()
        prepared = prepare_version(self.workshop, self.actor, imported.version_id)
        build_version(self.workshop, self.actor, imported.version_id, prepared)
        return imported

    def queue(self, campaign_id: UUID, **options: Any) -> Queued:
        given: dict[str, Any] = {
            "version_id": None,
            "include_warnings": True,
            "again": False,
            "dry_run": False,
        }
        with self.sessions() as session:
            queued = queue_campaign(
                session,
                self.actor,
                campaign_id,
                clock=self.clock,
                box=self.box,
                **(given | options),
            )
            session.commit()
        return queued

    def queued(self, document: dict[str, Any]) -> UUID:
        """The campaign, imported, built and queued."""
        campaign_id = self.build(document).campaign_id
        self.queue(campaign_id)
        return campaign_id

    # -- sending

    @property
    def outbox(self) -> Outbox:
        return Outbox(
            sessions=self.sessions,
            blobs=self.blobs,
            limiter=self.limiter,
            clock=self.clock,
            box=self.box,
            connect=self.connect,
            overrides=SmtpOverrides(),
            window=self.window,
        )

    def journal(self) -> FileJournal:
        return FileJournal(self.journals / str(self.actor.tenant_id))

    def send(
        self,
        campaign_id: UUID,
        *,
        limit: int | None = None,
        rate_limit: bool = True,
        stop: threading.Event | None = None,
        journal: Journal | None = None,
    ) -> SendReport:
        """One run, as the command makes it: the journal goes only after a run without trouble."""
        own = journal or self.journal()
        settled = False
        try:
            report = send_campaign(
                self.outbox,
                self.actor,
                campaign_id,
                journal=own,
                limit=limit,
                rate_limit=rate_limit,
                stop=stop or threading.Event(),
                on_start=lambda _total: None,
                on_done=self.on_done,
            )
            settled = report.stopped is None
        finally:
            own.close(settled=settled)
        return report

    # -- looking

    def jobs(self, campaign_id: UUID) -> Sequence[Job]:
        with self.sessions() as session:
            return session.scalars(
                select(Job)
                .where(Job.campaign_id == campaign_id)
                .order_by(Job.version_id, Job.position)
            ).all()

    def statuses(self, campaign_id: UUID) -> list[str]:
        return [job.send_status.value for job in self.jobs(campaign_id)]

    def attempts(self, job: Job) -> Sequence[SendAttempt]:
        with self.sessions() as session:
            return session.scalars(
                select(SendAttempt).where(SendAttempt.job_id == job.id).order_by(SendAttempt.number)
            ).all()

    def append_attempts(self, job: Job) -> Sequence[ImapAppendAttempt]:
        with self.sessions() as session:
            return session.scalars(
                select(ImapAppendAttempt)
                .where(ImapAppendAttempt.job_id == job.id)
                .order_by(ImapAppendAttempt.number)
            ).all()

    def change(self, campaign_id: UUID, position: int = 0, **values: Any) -> None:
        """What another process, or a person, does to a row meanwhile."""
        with self.sessions() as session:
            job = session.scalars(
                select(Job).where(Job.campaign_id == campaign_id, Job.position == position)
            ).one()
            for name, value in values.items():
                setattr(job, name, value)
            session.commit()


def letter(
    port: int, people: int = 1, *, delivery: dict[str, Any] | None = None, **parts: Any
) -> dict[str, Any]:
    """A campaign of `people` letters to p0@…, p1@… by the server at `port`."""
    return {
        "version": "1.0",
        "campaign": {"id": "cards", "name": "Cards", "mode": "send"},
        "server": {"smtp": {"host": "127.0.0.1", "port": port, "security": "plain"}},
        "recipients": {"from": "Office <office@example.org>"},
        "template": {"subject": "Your card", "text": "Dear member,\n.\nhere is your card.\n"},
        "entries": {
            "inline": [{"id": f"e{n}", "to": [f"p{n}@example.org"]} for n in range(people)]
        },
        "delivery": delivery or {},
        **parts,
    }


def recipients(server: SmtpServer) -> list[str]:
    """Who got something, once for each time."""
    return sorted(address for message in server.messages for address in message.recipients)


def people(count: int) -> list[str]:
    return sorted(f"p{n}@example.org" for n in range(count))


def make_house(url: str, folder: Path) -> Iterator[House]:
    engine = make_engine(url)
    sessions = session_factory(engine)
    with sessions() as session:
        tenant = access.add_tenant(session, Tenant(slug="acme", name="Acme", created_at=START))
        session.commit()
    yield House(sessions, folder, Actor.system(tenant.id, "Test", [Scope.EVERYTHING]))
    engine.dispose()
