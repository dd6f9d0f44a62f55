"""A house whose letters' copies go to the Sent folder of a real Dovecot."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.mailer.adapters.imap import ImapSentFolder
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.ports import SentFolder
from app.mailer.services.append_sent import AppendReport, append_sent
from app.mailer.services.append_some import AppendedSome, append_some
from app.mailer.services.file_copy import SentBox
from app.mailer.services.open_folders import OpenFolders
from app.mailer.services.server_access import imap_access
from tests.integration.services.sending.house import House, letter
from tests.servers.dovecot import PASSWORD, DovecotServer
from tests.servers.smtp import SmtpServer


def _open(campaign: Campaign) -> SentFolder:
    return ImapSentFolder(imap_access(campaign))


@dataclass
class Office:
    """A house with a Sent folder, at `port` of an IMAP server."""

    house: House
    imap: DovecotServer
    smtp: SmtpServer
    user: str
    password: str = PASSWORD
    port: int | None = None
    folder: SentFolder | None = None

    def document(self, count: int = 1, **parts: Any) -> dict[str, Any]:
        document = letter(
            self.smtp.port, count, delivery={"imap_append_sent": {"enabled": True}}, **parts
        )
        document["server"]["imap"] = {
            "host": "127.0.0.1",
            "port": self.port or self.imap.port,
            "security": "plain",
            "username": self.user,
            "password": self.password,
        }
        return document

    def sent(self, count: int = 1, **parts: Any) -> UUID:
        campaign = self.house.queued(self.document(count, **parts))
        assert self.house.send(campaign).outcomes == {SendStatus.SENT: count}
        return campaign

    @property
    def box(self) -> SentBox:
        house = self.house
        return SentBox(
            house.sessions,
            house.blobs,
            house.clock,
            house.box,
            lambda campaign: self.folder or _open(campaign),
        )

    def append(
        self,
        campaign: UUID,
        *,
        include_failed: bool = False,
        limit: int | None = None,
        stop: threading.Event | None = None,
    ) -> AppendReport:
        self.house.clock.sleep(1)
        journal = self.house.journal()
        try:
            return append_sent(
                self.box,
                self.house.actor,
                campaign,
                journal=journal,
                include_failed=include_failed,
                limit=limit,
                stop=stop or threading.Event(),
                on_start=lambda _total: None,
                on_done=lambda _job, _outcome: None,
            )
        finally:
            journal.close(settled=True)

    @property
    def copies(self) -> list[bytes]:
        return self.imap.messages(self.user, "Gesendet")

    def imap_statuses(self, campaign: UUID) -> list[str]:
        return [job.imap_status.value for job in self.house.jobs(campaign)]

    def append_some(
        self, campaign: UUID, *, after: float = 30, seconds: float = 3600
    ) -> AppendedSome:
        """As a worker does, `after` so many seconds have passed."""
        self.house.clock.sleep(after)
        journal = self.house.journal()
        folders = OpenFolders(self.box)
        try:
            return append_some(
                folders,
                self.house.actor.tenant_id,
                campaign,
                worker=journal.worker,
                stop=threading.Event(),
                seconds=seconds,
            )
        finally:
            folders.close_idle(-1)
            journal.close(settled=True)
