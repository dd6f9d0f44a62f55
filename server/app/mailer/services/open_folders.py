"""Connections to Sent folders that outlive a call, so that the next one need not log in again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from app.db.repositories import dispatching, versions
from app.mailer.domain.errors import NotFound
from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.ports import SentFolder
from app.mailer.services.file_copy import SentBox
from app.mailer.services.import_campaign import stored_campaign
from app.mailer.services.server_access import wants_sent_copy

#: An account may have few connections, so those that nobody uses go.
IDLE_SECONDS = 30.0


@dataclass(slots=True)
class OpenFolder:
    """The Sent folder of a version's account; `wants_copies`: its letters' copies go there."""

    folder: SentFolder
    wants_copies: bool
    #: Of version and account, when it was opened; another one, and it may be another folder.
    state: tuple[int, int]
    used_at: float


class OpenFolders:
    """The Sent folders that one process has open, by version; `encoded` saves encoding again.

    Safe for threads.
    """

    def __init__(self, sent_box: SentBox) -> None:
        self.sent_box = sent_box
        self.encoded = Base64Cache()
        self._idle: list[tuple[UUID, OpenFolder]] = []
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, tenant_id: UUID, version_id: UUID) -> Iterator[OpenFolder]:
        """One that nobody else uses meanwhile.

        Raises `ConfigurationError` where the campaign has no IMAP server, `NotFound` where it is
        gone.
        """
        with self.sent_box.sessions() as session:
            state = dispatching.state_of_terms(session, tenant_id, version_id)
        if state is None:
            raise NotFound(f"There is no version {version_id}.")
        lent = self._idle_one(version_id, state) or self._opened(tenant_id, version_id, state)
        try:
            yield lent
        finally:
            lent.used_at = self.sent_box.clock.monotonic()
            with self._lock:
                self._idle.append((version_id, lent))

    def close_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """Close what nobody used for so long; with -inf everything."""
        before = self.sent_box.clock.monotonic() - seconds
        with self._lock:
            old = [each for _, each in self._idle if each.used_at <= before]
            self._idle = [each for each in self._idle if each[1].used_at > before]
        for each in old:
            each.folder.close()

    def _idle_one(self, version_id: UUID, state: tuple[int, int]) -> OpenFolder | None:
        with self._lock:
            found = [each for known, each in self._idle if known == version_id]
            self._idle = [each for each in self._idle if each[0] != version_id]
            fresh = [each for each in found if each.state == state]
            self._idle += [(version_id, each) for each in fresh[1:]]
        for each in found:
            if each.state != state:
                each.folder.close()
        return fresh[0] if fresh else None

    def _opened(self, tenant_id: UUID, version_id: UUID, state: tuple[int, int]) -> OpenFolder:
        with self.sent_box.sessions() as session:
            campaign = stored_campaign(
                versions.get(session, tenant_id, version_id), self.sent_box.box
            )
        folder = self.sent_box.open_folder(campaign)
        now = self.sent_box.clock.monotonic()
        return OpenFolder(folder, wants_sent_copy(campaign), state, now)
