"""File the copies of a campaign that are due, for a little while: the work of every worker.

Apart from that of sending: own waits, own holds, and nothing here touches what was sent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from app.db.models import AppendAttemptOutcome
from app.db.repositories import appending, campaigns
from app.db.repositories.appending import ToAppend
from app.mailer.domain.delivery.filing import hold_until, next_try
from app.mailer.domain.delivery.job import ImapStatus
from app.mailer.domain.errors import ConfigurationError, NotFound
from app.mailer.ports import SentFolder, StopSign
from app.mailer.services.file_copy import (
    BATCH,
    FAILURES_IN_A_ROW,
    Fault,
    Filed,
    Leased,
    file_copy,
    write_down,
)
from app.mailer.services.open_folders import OpenFolders
from app.mailer.services.reconcile import Looked, look_for_due


@dataclass(slots=True)
class AppendedSome:
    """What was done; why the campaign's copies are held back now, if they are; whether there is
    more to do at once.
    """

    outcomes: Counter[AppendAttemptOutcome] = field(default_factory=Counter)
    looked: Looked = field(default_factory=Looked)
    held: str | None = None
    more: bool = False


def append_some(
    folders: OpenFolders,
    tenant_id: UUID,
    campaign_id: UUID,
    *,
    worker: str,
    stop: StopSign,
    seconds: float,
) -> AppendedSome:
    """File due copies, and look for letters in doubt, `seconds` long at most.

    `worker` is that of a journal, whose lock proves that it lives: what a dead one had in hand is
    free again. A fault of the account or its server holds the whole campaign's copies back, for
    longer each time, until one is filed again; it is no try of any copy.
    """
    return _Round(folders, tenant_id, campaign_id, worker).run(stop, seconds)


class _Round:
    def __init__(
        self, folders: OpenFolders, tenant_id: UUID, campaign_id: UUID, worker: str
    ) -> None:
        self._folders = folders
        self._box = folders.sent_box
        self._tenant_id = tenant_id
        self._campaign_id = campaign_id
        self._worker = worker
        self._done = AppendedSome()
        self._failures = 0

    def run(self, stop: StopSign, seconds: float) -> AppendedSome:
        done, clock = self._done, self._box.clock
        deadline = clock.monotonic() + seconds
        with self._box.sessions() as session:
            still = appending.standstill(session, self._tenant_id, self._campaign_id)
        if still.until is not None and still.until > clock.now():
            return done
        self._holds = still.holds
        done.looked = look_for_due(
            self._folders, self._tenant_id, self._campaign_id, stop=stop, seconds=seconds
        )
        if done.looked.stopped is not None:
            self._hold(done.looked.stopped, account=done.looked.permanent)
        elif done.looked.found or done.looked.absent:
            self._let_go()
        while done.held is None and not stop.is_set():
            found = self._versions_due()
            done.more = bool(found)
            if not found or clock.monotonic() >= deadline:
                break
            self._version(found[0], stop, deadline)
        return done

    def _versions_due(self) -> list[UUID]:
        with self._box.sessions() as session:
            return list(
                appending.versions_due(
                    session,
                    self._tenant_id,
                    self._campaign_id,
                    self._box.clock.now(),
                    self._box.patience,
                )
            )

    def _version(self, version_id: UUID, stop: StopSign, deadline: float) -> None:
        """File what is due of a version, a batch at a time."""
        take = partial(
            appending.take_due,
            tenant_id=self._tenant_id,
            version_id=version_id,
            patience=self._box.patience,
            limit=BATCH,
        )
        try:
            with self._folders.lend(self._tenant_id, version_id) as lent:
                while batch := Leased(self._box, self._tenant_id, self._worker, take):
                    if not self._batch(batch, lent.folder, stop, deadline):
                        return
        except NotFound:  # deleted meanwhile
            return
        except ConfigurationError as error:
            self._hold(str(error), account=True)

    def _batch(self, batch: Leased, folder: SentFolder, stop: StopSign, deadline: float) -> bool:
        """False where this is to end, for whatever reason."""
        while not stop.is_set() and self._box.clock.monotonic() < deadline:
            job = batch.next()
            if job is None:
                return True
            filed = file_copy(
                self._box,
                self._tenant_id,
                job,
                lambda: folder,
                self._folders.encoded,
                may_append=partial(batch.may_append, job),
            )
            self._heed(job, filed, batch)
            if self._done.held is not None:
                break
        if batch:
            batch.give_back()
        return False

    def _heed(self, job: ToAppend, filed: Filed, batch: Leased) -> None:
        """Write it down, and draw the consequences for the campaign."""
        offered = filed.fault in (None, Fault.COPY, Fault.REFUSED)
        if offered or filed.outcome is AppendAttemptOutcome.UNKNOWN:
            self._record(job, filed)
        else:
            batch.give_back(job)
        if filed.fault is None:
            self._failures = 0
            self._let_go()
        elif filed.fault is not Fault.COPY:
            self._failures += 1
            at_once = filed.fault in (Fault.ACCOUNT, Fault.HERE)
            if at_once or self._failures >= FAILURES_IN_A_ROW:
                self._hold(filed.error or "", account=filed.fault is Fault.ACCOUNT)

    def _record(self, job: ToAppend, filed: Filed) -> None:
        now = self._box.clock.now()
        due_at = None
        status = ImapStatus.APPENDED
        if filed.fault is not None:
            # One that cannot be read back will not be readable later.
            if filed.fault is not Fault.COPY:
                due_at = next_try(job.tries + 1, job.sent_at, now)
            status = ImapStatus.PENDING if due_at else ImapStatus.FAILED
        write_down(
            self._box, self._tenant_id, job, filed, status, worker=self._worker, due_at=due_at
        )
        self._done.outcomes[filed.outcome] += 1

    def _hold(self, reason: str, *, account: bool) -> None:
        self._done.held, self._done.more = reason, False
        until = hold_until(self._holds, self._box.clock.now(), account=account)
        self._store_hold(until, reason, self._holds + 1)

    def _let_go(self) -> None:
        if self._holds:
            self._holds = 0
            self._store_hold(None, None, 0)

    def _store_hold(self, until: datetime | None, reason: str | None, holds: int) -> None:
        with self._box.sessions() as session:
            campaigns.hold_copies(
                session, self._tenant_id, self._campaign_id, until=until, reason=reason, holds=holds
            )
            session.commit()
