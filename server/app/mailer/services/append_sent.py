"""File a copy of each sent letter in the Sent folder: one copy, however often it is tried.

The send status is never touched: a letter whose copy could not be filed was sent all the same.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import AppendAttemptOutcome
from app.db.repositories import appending, campaigns, delivery, versions
from app.db.repositories.appending import ToAppend
from app.failpoints import failpoint
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.delivery.job import ImapStatus
from app.mailer.domain.errors import BlobDamaged, BlobMissing, StorageFailed
from app.mailer.domain.mime.frame import Base64Cache, Frame
from app.mailer.ports import (
    BlobRef,
    BlobStore,
    Clock,
    Journal,
    SecretBox,
    SentFolder,
    SentFolderFailure,
)
from app.mailer.services.import_campaign import stored_campaign

_BATCH = 20
#: After so many failures of the server in a row the run ends; the other copies stay pending.
_FAILURES_IN_A_ROW = 3
_LEASE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class SentBox:
    """The ports that filing copies needs; `open_folder` gives the folder of a campaign."""

    sessions: sessionmaker[Session]
    blobs: BlobStore
    clock: Clock
    box: SecretBox
    open_folder: Callable[[Campaign], SentFolder]


@dataclass(slots=True)
class AppendReport:
    """What a run did: outcomes, the folder, and why it ended early, if it did."""

    dry_run: bool
    wanted: int = 0
    outcomes: Counter[AppendAttemptOutcome] = field(default_factory=Counter)
    folders: set[str] = field(default_factory=set)
    last_error: str | None = None
    stopped: str | None = None
    interrupted: bool = False
    failed: int = 0
    pending: int = 0

    @property
    def has_findings(self) -> bool:
        left = 0 if self.dry_run else self.pending
        return bool(self.failed or left or self.stopped or self.interrupted)

    def as_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "dry_run": self.dry_run,
            "wanted": self.wanted,
            "outcomes": {each.value: n for each, n in self.outcomes.items()},
            "folders": sorted(self.folders),
            "pending": self.pending,
            "failed": self.failed,
            "interrupted": self.interrupted,
            "stopped": self.stopped,
            "last_error": self.last_error,
        }


def append_sent(
    sent_box: SentBox,
    actor: Actor,
    campaign_id: UUID,
    *,
    journal: Journal,
    include_failed: bool,
    limit: int | None,
    stop: threading.Event,
    on_start: Callable[[int], None],
    on_done: Callable[[ToAppend, AppendAttemptOutcome], None],
) -> AppendReport:
    """File the copies that are pending (with `include_failed`, also those that failed before).

    The `journal` only proves that this worker lives: what a dead one had leased is free.
    """
    require_scope(actor, Scope.CAMPAIGN_SEND)
    for dead in journal.abandoned():
        with sent_box.sessions() as session:
            appending.free_leases_of(session, actor.tenant_id, dead.worker)
            session.commit()
    statuses = _statuses(include_failed)
    report = AppendReport(dry_run=False, wanted=_wanted(sent_box, actor, campaign_id, statuses))
    on_start(report.wanted if limit is None else min(limit, report.wanted))
    filing = _Filing(sent_box, actor.tenant_id, journal.worker, report, on_done)
    try:
        filing.run(campaign_id, statuses, limit, stop)
    finally:
        filing.close()
    report.interrupted = stop.is_set()
    _finish(sent_box, actor, campaign_id, report)
    return report


def rehearse_append(
    sent_box: SentBox,
    actor: Actor,
    campaign_id: UUID,
    *,
    include_failed: bool,
    limit: int | None,
) -> AppendReport:
    """How many copies would be filed; nothing changes and no server is asked."""
    require_scope(actor, Scope.CAMPAIGN_SEND)
    wanted = _wanted(sent_box, actor, campaign_id, _statuses(include_failed))
    return AppendReport(
        dry_run=True, wanted=wanted if limit is None else min(limit, wanted), pending=wanted
    )


class _Filing:
    """One run: the folders that are open, by version, and what is leased."""

    def __init__(
        self,
        sent_box: SentBox,
        tenant_id: UUID,
        worker: str,
        report: AppendReport,
        on_done: Callable[[ToAppend, AppendAttemptOutcome], None],
    ) -> None:
        self._box = sent_box
        self._tenant_id = tenant_id
        self._worker = worker
        self._report = report
        self._on_done = on_done
        self._open: dict[UUID, SentFolder] = {}
        self._failures = 0
        self._encoded = Base64Cache()

    def run(
        self,
        campaign_id: UUID,
        statuses: Collection[ImapStatus],
        limit: int | None,
        stop: threading.Event,
    ) -> None:
        begin = self._box.clock.now()
        left = limit
        while left != 0 and not stop.is_set() and self._report.stopped is None:
            now = self._box.clock.now()
            with self._box.sessions() as session:
                batch = appending.take(
                    session,
                    self._tenant_id,
                    campaign_id,
                    statuses,
                    tried_before=begin,
                    worker=self._worker,
                    now=now,
                    lease_until=now + _LEASE,
                    limit=_BATCH if left is None else min(_BATCH, left),
                )
                session.commit()
            if not batch:
                return
            if left is not None:
                left -= len(batch)
            while batch and not stop.is_set() and self._report.stopped is None:
                self._file(batch.pop(0))
            if batch:
                with self._box.sessions() as session:
                    appending.give_back(session, self._tenant_id, batch, self._worker)
                    session.commit()

    def _file(self, job: ToAppend) -> None:
        started = self._box.clock.now()
        folder = error = None
        waits = False
        try:
            sent_folder = self._folder_of(job.version_id)
            folder = sent_folder.folder()
            self._report.folders.add(folder)
            copy = self._copy(job)
            failpoint("before_append")
            outcome = AppendAttemptOutcome(sent_folder.append(copy, job.message_id, job.sent_at))
            failpoint("after_append")
            self._failures = 0
        except SentFolderFailure as failure:
            error = failure.message
            outcome = (
                AppendAttemptOutcome.UNKNOWN if failure.unknown else AppendAttemptOutcome.FAILED
            )
            waits = not failure.refused
            self._failures += 1
            if failure.permanent_here or self._failures >= _FAILURES_IN_A_ROW:
                self._report.stopped = error
        except (BlobDamaged, ValueError) as failure:
            error = f"The stored message cannot be read back: {failure}"
            outcome = AppendAttemptOutcome.FAILED
        except (BlobMissing, StorageFailed, OSError) as failure:
            self._report.stopped = error = f"The stored attachments cannot be read: {failure}"
            outcome = AppendAttemptOutcome.FAILED
            waits = True
        with self._box.sessions() as session:
            appending.record(
                session,
                self._tenant_id,
                job,
                outcome,
                worker=self._worker,
                started_at=started,
                now=self._box.clock.now(),
                folder=folder,
                error=error,
                waits=waits,
            )
            session.commit()
        self._report.outcomes[outcome] += 1
        self._report.last_error = error or self._report.last_error
        self._on_done(job, outcome)

    def _folder_of(self, version_id: UUID) -> SentFolder:
        if version_id not in self._open:
            with self._box.sessions() as session:
                version = versions.get(session, self._tenant_id, version_id)
                campaign = stored_campaign(version, self._box.box)
            self._open[version_id] = self._box.open_folder(campaign)
        return self._open[version_id]

    def _copy(self, job: ToAppend) -> bytes:
        """The message as it was sent, with its Bcc header; only the proven bytes are filed."""
        with self._box.sessions() as session:
            stored = delivery.frame_of(session, self._tenant_id, job.id)
        if stored is None:
            raise ValueError("it is gone")
        frame = Frame.decode(stored)

        def read(ref: BlobRef) -> bytes:
            return self._box.blobs.get(self._tenant_id, ref)

        if frame.digest(read, self._encoded) != job.sha256:
            raise ValueError("it differs from what was sent")
        return b"".join(frame.sent_copy_chunks(read, self._encoded))

    def close(self) -> None:
        for folder in self._open.values():
            folder.close()


def _statuses(include_failed: bool) -> tuple[ImapStatus, ...]:
    return (ImapStatus.PENDING, ImapStatus.FAILED) if include_failed else (ImapStatus.PENDING,)


def _wanted(
    sent_box: SentBox, actor: Actor, campaign_id: UUID, statuses: Collection[ImapStatus]
) -> int:
    with sent_box.sessions() as session:
        campaigns.get(session, actor.tenant_id, campaign_id)
        return appending.count(session, actor.tenant_id, campaign_id, statuses)


def _finish(sent_box: SentBox, actor: Actor, campaign_id: UUID, report: AppendReport) -> None:
    tenant_id = actor.tenant_id
    with sent_box.sessions() as session:
        report.failed = appending.count(session, tenant_id, campaign_id, [ImapStatus.FAILED])
        report.pending = appending.count(session, tenant_id, campaign_id, [ImapStatus.PENDING])
        if report.outcomes:
            log.record(
                session,
                actor,
                "campaign.sent_copies_appended",
                "campaign",
                campaign_id,
                {
                    "outcomes": {each.value: n for each, n in report.outcomes.items()},
                    "folders": sorted(report.folders),
                    "stopped": report.stopped,
                },
                sent_box.clock.now(),
            )
        session.commit()
