"""File a copy of each sent letter in the Sent folder: one copy, however often it is tried.

The send status is never touched: a letter whose copy could not be filed was sent all the same.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import AppendAttemptOutcome
from app.db.repositories import appending, campaigns, versions
from app.db.repositories.appending import ToAppend
from app.mailer.domain.delivery.job import ImapStatus
from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.ports import Journal, SentFolder
from app.mailer.services.file_copy import (
    BATCH,
    FAILURES_IN_A_ROW,
    Fault,
    Leased,
    SentBox,
    file_copy,
    write_down,
)
from app.mailer.services.import_campaign import stored_campaign


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

    At once: what workers wait for, and what holds them back, does not hold back a person. What
    works for a person works for them, so it ends their hold.

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
    """One run: the folders that are open, by version."""

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
        with self._box.sessions() as session:
            found = appending.versions_with_copies(session, self._tenant_id, campaign_id, statuses)
        for version_id in found:
            while left != 0 and not stop.is_set() and self._report.stopped is None:
                take = partial(
                    appending.take,
                    tenant_id=self._tenant_id,
                    version_id=version_id,
                    statuses=statuses,
                    tried_before=begin,
                    limit=BATCH if left is None else min(BATCH, left),
                )
                batch = Leased(self._box, self._tenant_id, self._worker, take)
                if not batch:
                    break
                if left is not None:
                    left -= len(batch)
                while not stop.is_set() and self._report.stopped is None and (job := batch.next()):
                    self._file(job, batch)
                if batch:
                    batch.give_back()

    def _file(self, job: ToAppend, batch: Leased) -> None:
        filed = file_copy(
            self._box,
            self._tenant_id,
            job,
            lambda: self._folder_of(job.version_id),
            self._encoded,
            may_append=lambda: batch.may_append(job),
        )
        if filed.folder is not None:
            self._report.folders.add(filed.folder)
        fault = filed.fault
        if fault in (Fault.SERVER, Fault.REFUSED, Fault.ACCOUNT):
            self._failures += 1
        elif fault is None:
            self._failures = 0
        if fault in (Fault.ACCOUNT, Fault.HERE) or self._failures >= FAILURES_IN_A_ROW:
            self._report.stopped = filed.error
        status = ImapStatus.APPENDED
        if fault is not None:
            # What the copy itself is not to blame for waits: the next run looks for it first.
            blamed = fault in (Fault.COPY, Fault.REFUSED)
            status = ImapStatus.FAILED if blamed else ImapStatus.PENDING
        write_down(self._box, self._tenant_id, job, filed, status, worker=self._worker)
        self._report.outcomes[filed.outcome] += 1
        self._report.last_error = filed.error or self._report.last_error
        self._on_done(job, filed.outcome)

    def _folder_of(self, version_id: UUID) -> SentFolder:
        if version_id not in self._open:
            with self._box.sessions() as session:
                version = versions.get(session, self._tenant_id, version_id)
                campaign = stored_campaign(version, self._box.box)
            self._open[version_id] = self._box.open_folder(campaign)
        return self._open[version_id]

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
        if report.folders and report.stopped is None:
            campaigns.hold_copies(session, tenant_id, campaign_id, until=None, reason=None, holds=0)
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
