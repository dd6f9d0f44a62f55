"""One process with its database, joined together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor
from app.access.development import bootstrap_dev_data
from app.access.keys import authenticate_api_key
from app.bootstrap.tools import make_overrides, make_tools
from app.db.session import make_engine, reading, session_factory
from app.mailer.adapters.blob_folder import FolderBlobStore
from app.mailer.adapters.imap import ImapSentFolder
from app.mailer.adapters.journal import FileJournal
from app.mailer.adapters.limiter_memory import MemoryLimiter
from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.errors import ConfigurationError
from app.mailer.ports import (
    Journal,
    MailTransport,
    Progress,
    SentFolder,
)
from app.mailer.services.append_sent import SentBox
from app.mailer.services.build_version import Workshop
from app.mailer.services.email_report import Post
from app.mailer.services.send_campaign import Outbox
from app.mailer.services.server_access import imap_access, smtp_access
from app.settings import Settings, get_settings

_INIT_DB = "Run: python -m app.mailer.commands.init_db --with-dev-data"


class Program:
    """One process: its settings, its database and everything that the services ask for."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or get_settings()
        self.tools = make_tools()
        self.clock = self.tools.clock

    @cached_property
    def engine(self) -> Engine:
        return make_engine(self.settings.database_url)

    @cached_property
    def sessions(self) -> sessionmaker[Session]:
        return session_factory(self.engine)

    @cached_property
    def reading(self) -> sessionmaker[Session]:
        return reading(self.engine)

    @cached_property
    def blobs(self) -> FolderBlobStore:
        return FolderBlobStore(self.settings.blob_dir)

    @cached_property
    def box(self) -> AesSecretBox:
        return AesSecretBox(self.settings.master_key)

    def start(self) -> None:
        """What the service does before its first request: in development, make its own data."""
        if self.settings.is_dev:
            self.migrate()
            with self.sessions() as session:
                bootstrap_dev_data(session, self.settings, self.clock.now())
                session.commit()

    def stop(self) -> None:
        """Let go of the database."""
        self.engine.dispose()

    def migrate(self) -> None:
        """Make the database's tables, or bring them up to date."""
        # Alembic takes long to load, and no other command needs it.
        from app.db.migrations import upgrade

        with _database_told():
            upgrade(self.settings.database_url)

    def actor(self, api_key: str) -> Actor:
        """Whose key this is; `AccessDenied`, or `ConfigurationError` where no table is there."""
        file = make_url(self.settings.database_url).database
        if self.settings.database_url.startswith("sqlite") and not Path(file or "").exists():
            # Looking must not leave an empty database behind.
            raise ConfigurationError(f"There is no database {file} yet.", _INIT_DB)
        with _database_told(), self.sessions() as session:
            actor = authenticate_api_key(
                session, api_key, self.clock.now(), development=self.settings.is_dev
            )
            session.commit()
        return actor

    def authenticate(self, secret: str, address: str | None) -> Actor:
        """Whose key or session `secret` is, asking from `address`; `AccessDenied` for none."""
        with self.sessions() as session:
            actor = authenticate_api_key(
                session, secret, self.clock.now(), development=self.settings.is_dev
            )
            session.commit()
        return replace(actor, address=address)

    def workshop(self, progress: Progress) -> Workshop:
        return Workshop(
            sessions=self.sessions,
            files_of=self.tools.files_of,
            pdf_text=self.tools.pdf_text,
            archive=self.tools.archive,
            blobs=self.blobs,
            box=self.box,
            clock=self.clock,
            progress=progress,
        )

    def outbox(self) -> Outbox:
        return Outbox(
            sessions=self.sessions,
            blobs=self.blobs,
            limiter=MemoryLimiter(self.clock),
            clock=self.clock,
            box=self.box,
            connect=self.tools.connect,
            overrides=make_overrides(self.settings),
        )

    def sent_box(self) -> SentBox:
        return SentBox(
            sessions=self.sessions,
            blobs=self.blobs,
            clock=self.clock,
            box=self.box,
            open_folder=_open_sent_folder,
        )

    def post(self, *, dry_run: bool) -> Post:
        """For mailing reports; a dry run's transport only records."""
        overrides = make_overrides(self.settings)

        def connect(campaign: Campaign) -> MailTransport:
            if dry_run:
                return self.tools.record()
            return self.tools.connect(smtp_access(campaign, overrides))

        return Post(
            reading=self.reading,
            sessions=self.sessions,
            clock=self.clock,
            box=self.box,
            connect=connect,
        )

    def journal(self, tenant_id: UUID) -> Journal:
        """A journal of this process; journals are apart by tenant, like everything else."""
        return FileJournal(self.settings.journal_dir / str(tenant_id))


@contextmanager
def _database_told() -> Iterator[None]:
    """Says in a sentence what a database fault at the first touch means."""
    try:
        yield
    except DBAPIError as error:
        fault = str(error.orig)
        if "no such" in fault or "does not exist" in fault:
            raise ConfigurationError(
                "The database has not all of its tables yet.", _INIT_DB
            ) from None
        raise ConfigurationError(
            f"The database cannot be used: {fault.strip()}.",
            "Check DATABASE_URL, that the database runs, and that this user may use it.",
        ) from error


def _open_sent_folder(campaign: Campaign) -> SentFolder:
    imap = campaign.server.imap
    return ImapSentFolder(
        imap_access(campaign),
        campaign.delivery.imap_append_sent.folder,
        imap.sent_folder if imap is not None else "auto",
    )
