"""One process with its database, joined together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from app import __version__
from app.access.actor import Actor
from app.access.development import bootstrap_dev_data
from app.access.keys import Recognised, authenticate_api_key, recognise_api_key
from app.access.sessions import MARK, SessionTerms, note_use, recognise_session
from app.bootstrap.broker import make_bell, make_limiter
from app.bootstrap.stores import make_blob_store
from app.bootstrap.tools import make_host_rules, make_overrides, make_tools
from app.bootstrap.worker_process import WorkerProcess
from app.db.repositories import idempotency, sealed
from app.db.session import make_engine, reading, session_factory
from app.mailer.adapters.account_probes import make_probes
from app.mailer.adapters.clamav import ClamAv
from app.mailer.adapters.confined_files import ConfinedCampaignFiles
from app.mailer.adapters.connection import refuse_private_host
from app.mailer.adapters.content_type import content_type
from app.mailer.adapters.imap import ImapSentFolder
from app.mailer.adapters.journal import FileJournal
from app.mailer.adapters.letter_html import show_letter_html
from app.mailer.adapters.process_lock import ProcessLock
from app.mailer.adapters.secret_box import AesSecretBox
from app.mailer.adapters.uploaded_files import UploadedFiles
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.errors import ConfigurationError
from app.mailer.ports import (
    Bell,
    BlobStore,
    CampaignFiles,
    Journal,
    MailTransport,
    Progress,
    RateLimiter,
    SentFolder,
)
from app.mailer.services import uploads
from app.mailer.services.build_version import Workshop
from app.mailer.services.check_account import Probes
from app.mailer.services.depot import Depot
from app.mailer.services.email_report import Post
from app.mailer.services.evidence import RecordOffice
from app.mailer.services.file_copy import SentBox
from app.mailer.services.import_campaign import Imported
from app.mailer.services.live import LiveBoard
from app.mailer.services.message_view import Viewer
from app.mailer.services.open_folders import OpenFolders
from app.mailer.services.open_lane import Outbox
from app.mailer.services.people.sign_in import FrontDesk
from app.mailer.services.server_access import imap_access, smtp_access
from app.mailer.services.take_campaign import take_campaign
from app.mailer.services.work import Worker
from app.mailer.services.works import Workbench, undo, works_of
from app.settings import SERVER, AppEnv, OperationsWorker, Settings, get_settings

_INIT_DB = "Run: python -m app.mailer.commands.init_db"
#: How Postgres says that a table or a column is not there.
_UNDEFINED = ("42P01", "42703")


class Program:
    """One process: its settings, its database and everything that the services ask for."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or get_settings()
        self.hosts = make_host_rules(self.settings)
        self.tools = make_tools(self.hosts)
        self.clock = self.tools.clock
        self._workers: list[WorkerProcess] = []
        self._only_process: ProcessLock | None = None

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
    def blobs(self) -> BlobStore:
        """What messages are made of."""
        return make_blob_store(self.settings)

    @cached_property
    def stored_files(self) -> BlobStore:
        """The contents of uploaded files, apart from those of messages."""
        return make_blob_store(self.settings, "files")

    def confined_files(self, tenant_id: UUID, base: str, own: str | None) -> CampaignFiles:
        """The files that a campaign which came by the API may read."""
        return ConfinedCampaignFiles(
            base,
            own,
            roots=self.settings.file_roots,
            uploads=UploadedFiles(tenant_id, self.reading, self.stored_files),
        )

    def depot(self) -> Depot:
        """For uploads and files."""
        address = self.settings.clamav_address
        return Depot(
            sessions=self.sessions,
            reading=self.reading,
            blobs=self.stored_files,
            clock=self.clock,
            content_type=content_type,
            scanner=None if address is None else ClamAv(address),
            quota_bytes=self.settings.upload_quota_bytes,
            max_bytes=self.settings.upload_max_bytes,
        )

    @cached_property
    def box(self) -> AesSecretBox:
        return AesSecretBox(self.settings.master_key, self.settings.master_key_old)

    @cached_property
    def probes(self) -> Probes:
        return make_probes(self.hosts)

    def refuse_private(self, host: str) -> None:
        """Raises `MailerError` for a host in a private network that is not allowed."""
        refuse_private_host(host, self.hosts)

    def start(self) -> None:
        """What the service does before its first request: in development, make its own data,
        elsewhere, see that the tables are there; and bring its workers along. Raises
        `ConfigurationError` where it may not run like this.
        """
        self._refuse_second_process()
        if self.settings.is_dev:
            self.migrate()
            with self.sessions() as session:
                bootstrap_dev_data(session, self.settings, self.clock.now())
                session.commit()
        else:
            with self._database_told():
                self.check_database()
        if self.settings.operations_worker is OperationsWorker.EMBEDDED:
            self._workers.append(WorkerProcess(self.settings, "run_operations"))
        if self.settings.sends_itself:
            self._workers.append(WorkerProcess(self.settings, "run_delivery"))
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """End the workers, and let go of the database."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()
        self.engine.dispose()
        if self._only_process is not None:
            self._only_process.release()

    def _refuse_second_process(self) -> None:
        file = make_url(self.settings.database_url)
        if file.get_backend_name() != "sqlite" or self.settings.app_env is not AppEnv.PRODUCTION:
            return
        lock = ProcessLock(Path(f"{file.database}.lock"))
        try:
            is_only = lock.acquire()
        except OSError as error:
            raise ConfigurationError(
                f"The database file {file.database} cannot be locked: {error.strerror}.",
                "DATABASE_URL must name a file in a folder that this user may write to.",
            ) from error
        if not is_only:
            raise ConfigurationError(
                f"Another process of the service uses the SQLite database {file.database}, and "
                "with APP_ENV=production only one may.",
                "Start it once, without --workers. Several processes need Postgres, and there is "
                "no way over yet: decide before the first letter.",
            )
        self._only_process = lock

    def migrate(self) -> None:
        """Make the database's tables, or bring them up to date."""
        # Alembic takes long to load, and no other command needs it.
        from app.db.migrations import upgrade

        with self._database_told():
            upgrade(self.settings.database_url)

    def check_database(self) -> None:
        """Raises `ConfigurationError` where the tables are not those of this program."""
        self._refuse_absent_file()
        try:
            with self.reading() as session:
                found = session.scalar(text("SELECT version_num FROM alembic_version"))
        except DBAPIError as error:
            if not _lacks_tables(error):
                raise
            found = None
        if found != self._newest_revision:
            raise ConfigurationError(
                f"The database is not up to date: it has revision {found or 'none'}, and this "
                f"program needs {self._newest_revision}.",
                self._init_db,
            )

    @cached_property
    def _newest_revision(self) -> str:
        from app.db.migrations import newest

        return newest()

    def check_secrets(self) -> None:
        """Raises `ConfigurationError` where stored secrets are under a master key that is not set.

        Looks at some of them: readiness is asked often, and `rotate_master_key` counts them all.
        """
        with self.reading() as session:
            other = sealed.other_key_id(session, self.box.key_ids)
        if other is not None:
            known = " or ".join(each.hex() for each in self.box.key_ids)
            raise ConfigurationError(
                f"Stored secrets were sealed with another master key ({other.hex()}) than is set "
                f"({known}).",
                "Set it as MASTER_KEY_B64, or as MASTER_KEY_OLD_B64 beside a newer one, and start "
                "this process again.",
            )

    def actor(self, api_key: str) -> Actor:
        """Whose key this is; `AccessDenied`, or `ConfigurationError` where no table is there."""
        self._refuse_absent_file()
        with self._database_told(), self.sessions() as session:
            actor = authenticate_api_key(
                session, api_key, self.clock.now(), development=self.settings.is_dev
            )
            session.commit()
        return actor

    def _refuse_absent_file(self) -> None:
        url = make_url(self.settings.database_url)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            # Looking must not leave an empty database behind.
            raise ConfigurationError(f"There is no database {url.database} yet.", self._init_db)

    @property
    def _init_db(self) -> str:
        return f"{_INIT_DB} --with-dev-data" if self.settings.is_dev else _INIT_DB

    @contextmanager
    def _database_told(self) -> Iterator[None]:
        """Says in a sentence what a database fault at the first touch means."""
        try:
            yield
        except DBAPIError as error:
            if _lacks_tables(error):
                raise ConfigurationError(
                    "The database has not all of its tables yet.", self._init_db
                ) from None
            raise ConfigurationError(
                f"The database cannot be used: {str(error.orig).strip()}.",
                "Check DATABASE_URL, that the database runs, and that this user may use it.",
            ) from error

    def authenticate(self, secret: str, address: str | None) -> Actor:
        """Whose key or session `secret` is, asking from `address`; `AccessDenied` for none."""
        if secret.startswith(MARK):
            return self._authenticate_session(secret, address, in_cookie=False)
        now = self.clock.now()
        with self.reading() as session:
            found = recognise_api_key(session, secret, now, development=self.settings.is_dev)
        return self._used(found, address, now)

    def authenticate_cookie(self, token: str, address: str | None) -> Actor:
        """Whose cookie `token` is, asking from `address`; `AccessDenied` for none."""
        return self._authenticate_session(token, address, in_cookie=True)

    def _authenticate_session(self, token: str, address: str | None, *, in_cookie: bool) -> Actor:
        now = self.clock.now()
        with self.reading() as session:
            found = recognise_session(session, token, now, self.session_terms, in_cookie=in_cookie)
        return self._used(found, address, now)

    def _used(self, found: Recognised, address: str | None, now: datetime) -> Actor:
        # Nearly every request only reads here, and so waits for no writer.
        if found.use_is_news:
            with self.sessions() as session:
                note_use(session, found, now)
                session.commit()
        return replace(found.actor, address=address)

    @property
    def session_terms(self) -> SessionTerms:
        """How long people stay signed in."""
        return SessionTerms(
            idle=timedelta(minutes=self.settings.session_idle_minutes),
            longest=timedelta(hours=self.settings.session_max_hours),
        )

    def front_desk(self) -> FrontDesk:
        return FrontDesk(
            sessions=self.sessions,
            clock=self.clock,
            box=self.box,
            terms=self.session_terms,
            is_development=self.settings.is_dev,
        )

    def workshop(self, progress: Progress) -> Workshop:
        return Workshop(
            sessions=self.sessions,
            files_of=self.tools.files_of,
            confined_files=self.confined_files,
            pdf_text=self.tools.pdf_text,
            archive=self.tools.archive,
            blobs=self.blobs,
            box=self.box,
            clock=self.clock,
            progress=progress,
            refuse_private=self.refuse_private,
        )

    def outbox(self) -> Outbox:
        return Outbox(
            sessions=self.sessions,
            blobs=self.blobs,
            limiter=self.limiter,
            clock=self.clock,
            box=self.box,
            connect=self.tools.connect,
            overrides=make_overrides(self.settings),
            lease=timedelta(seconds=self.settings.lease_seconds),
            window=self.settings.commit_window,
        )

    @cached_property
    def limiter(self) -> RateLimiter:
        """What paces sending: Redis where there is one, for all processes; else this process."""
        return make_limiter(self.settings, self.clock)

    @cached_property
    def bell(self) -> Bell:
        """Wakes up whoever sends."""
        return make_bell(self.settings)

    @cached_property
    def live(self) -> LiveBoard:
        """The figures of campaigns that somebody watches."""
        return LiveBoard(
            self.reading,
            self.limiter,
            self.clock,
            limits_are_shared=self.settings.redis_url is not None,
        )

    def sent_box(self) -> SentBox:
        return SentBox(
            sessions=self.sessions,
            blobs=self.blobs,
            clock=self.clock,
            box=self.box,
            open_folder=self.open_folder,
        )

    def open_folders(self) -> OpenFolders:
        """Connections to Sent folders that are kept for more than one call; close them."""
        return OpenFolders(self.sent_box())

    def open_folder(self, campaign: Campaign) -> SentFolder:
        """The Sent folder of a campaign's IMAP server."""
        imap = campaign.server.imap
        return ImapSentFolder(
            imap_access(campaign),
            campaign.delivery.imap_append_sent.folder,
            imap.sent_folder if imap is not None else "auto",
            hosts=self.hosts,
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

    def record_office(self) -> RecordOffice:
        """For exporting evidence."""
        return RecordOffice(
            sessions=self.sessions,
            reading=self.reading,
            blobs=self.blobs,
            clock=self.clock,
            program=f"MultiMailer {__version__}",
        )

    def workbench(self) -> Workbench:
        """For long work, and for cancelling it."""
        overrides = make_overrides(self.settings)
        return Workbench(
            sessions=self.sessions,
            clock=self.clock,
            bodies=self.stored_files,
            box=self.box,
            workshop=self.workshop,
            sent_box=self.sent_box,
            journal=self.journal,
            connect=lambda campaign: self.tools.connect(smtp_access(campaign, overrides)),
            rehearse=self.tools.record,
            take_in=self.take_campaign,
        )

    def worker(self, name: str, shutdown: threading.Event) -> Worker:
        """A worker that goes on until `shutdown` is set."""
        bench = self.workbench()
        return Worker(
            self.sessions,
            self.reading,
            self.clock,
            name,
            works_of(bench),
            shutdown=shutdown,
            development=self.settings.is_dev,
            undo=partial(undo, bench),
            chores=[self._forget_answers, self._sweep_files],
        )

    def take_campaign(self, session: Session, actor: Actor, body: bytes) -> Imported:
        """Import the body of a request; the caller commits."""
        return take_campaign(
            session,
            actor,
            body,
            here=SERVER,
            roots=self.settings.file_roots,
            clock=self.clock,
            box=self.box,
        )

    def _forget_answers(self) -> None:
        with self.sessions() as session:
            idempotency.forget(session, self.clock.now())
            session.commit()

    def _sweep_files(self) -> None:
        uploads.sweep(self.depot())
        self.blobs.sweep(self.clock.now() - 2 * uploads.LIFETIME)

    def viewer(self) -> Viewer:
        """For people who look at letters."""
        return Viewer(
            sessions=self.sessions,
            reading=self.reading,
            blobs=self.blobs,
            clock=self.clock,
            show=show_letter_html,
        )

    def journal(self, tenant_id: UUID) -> Journal:
        """A journal of this process; journals are apart by tenant, like everything else."""
        return FileJournal(self.settings.journal_dir / str(tenant_id))


def _lacks_tables(error: DBAPIError) -> bool:
    """Whether a table or a column is not there, by what SQLite or Postgres says."""
    code = getattr(error.orig, "sqlstate", None)
    return code in _UNDEFINED or str(error.orig).startswith(("no such table", "no such column"))
