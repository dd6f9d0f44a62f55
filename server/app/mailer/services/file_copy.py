"""File one letter's copy in the Sent folder: what every way of filing copies does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.db.models import AppendAttemptOutcome
from app.db.repositories import appending, delivery
from app.db.repositories.appending import Taker, ToAppend
from app.failpoints import failpoint
from app.mailer.domain.campaign import Campaign
from app.mailer.domain.delivery.filing import PATIENCE
from app.mailer.domain.delivery.job import ImapStatus
from app.mailer.domain.errors import BlobDamaged, BlobMissing, ConfigurationError, StorageFailed
from app.mailer.domain.mime.frame import Base64Cache, Frame
from app.mailer.ports import (
    BlobRef,
    BlobStore,
    Clock,
    SecretBox,
    SentFolder,
    SentFolderFailure,
)

#: Copies that are taken at once, and how long a worker that says nothing keeps them.
BATCH = 20
LEASE = timedelta(minutes=2)
#: Octets a second of a line that still counts as alive; how long the last answer may take, and all
#: that comes before the copy goes out.
_SLOWEST_LINE = 8192
_ANSWER = timedelta(seconds=30)
_SEARCHING = timedelta(seconds=30)
#: After so many failures of the server in a row it is left alone.
FAILURES_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class SentBox:
    """The ports that filing copies needs; `open_folder` gives the folder of a campaign.

    `patience` is how long after sending a worker leaves the copy to the provider.
    """

    sessions: sessionmaker[Session]
    blobs: BlobStore
    clock: Clock
    box: SecretBox
    open_folder: Callable[[Campaign], SentFolder]
    patience: timedelta = PATIENCE


class Fault(Enum):
    """What is to blame for a copy that was not filed.

    COPY: the copy itself. REFUSED: the server said no to it. SERVER: the way to the server, or its
    mood; with a copy offered it may hold that. ACCOUNT: what a person has to mend. HERE: our store.
    """

    COPY = "copy"
    REFUSED = "refused"
    SERVER = "server"
    ACCOUNT = "account"
    HERE = "here"


@dataclass(frozen=True, slots=True)
class Filed:
    """How it ended; `outcome` FAILED with SERVER, ACCOUNT or HERE: no copy was offered at all."""

    outcome: AppendAttemptOutcome
    started_at: datetime
    folder: str | None = None
    error: str | None = None
    fault: Fault | None = None


class Leased:
    """Copies that this worker holds, and for how long.

    The lease is longer than whatever is done under it, so nobody else files the same copy
    meanwhile; a worker that was frozen files none any more (`may_append`).
    """

    def __init__(
        self, sent_box: SentBox, tenant_id: UUID, worker: str, take: Callable[..., list[ToAppend]]
    ) -> None:
        self._box, self._tenant_id, self._worker = sent_box, tenant_id, worker
        now = sent_box.clock.now()
        self._until = now + LEASE
        with sent_box.sessions() as session:
            self._jobs = take(session, by=Taker(worker, now, self._until))
            session.commit()

    def __len__(self) -> int:
        return len(self._jobs)

    def next(self) -> ToAppend | None:
        """The next copy, or None where none is left."""
        while self._jobs:
            job = self._jobs.pop(0)
            now = self._box.clock.now()
            if now + _SEARCHING + _uploading(job) <= self._until or self._extend(job, now):
                return job
        return None

    def may_append(self, job: ToAppend) -> bool:
        return self._box.clock.now() + _uploading(job) <= self._until

    def give_back(self, *jobs: ToAppend) -> None:
        """Let go of these, and of what is left."""
        with self._box.sessions() as session:
            left = [*jobs, *self._jobs]
            appending.give_back(session, self._tenant_id, left, self._worker)
            session.commit()
        self._jobs = []

    def _extend(self, job: ToAppend, now: datetime) -> bool:
        """Hold all that is left for longer; False where another worker has `job` by now."""
        self._until = now + LEASE + _uploading(job)
        with self._box.sessions() as session:
            kept = appending.extend(
                session, self._tenant_id, [job, *self._jobs], self._worker, self._until
            )
            session.commit()
        self._jobs = [each for each in self._jobs if each.id in kept]
        return job.id in kept


def _uploading(job: ToAppend) -> timedelta:
    """How long the copy may take on a line that is as slow as may be, and the answer to it."""
    return _ANSWER + timedelta(seconds=job.size / _SLOWEST_LINE)


def file_copy(
    sent_box: SentBox,
    tenant_id: UUID,
    job: ToAppend,
    open_folder: Callable[[], SentFolder],
    encoded: Base64Cache,
    *,
    may_append: Callable[[], bool],
) -> Filed:
    """File the copy, unless the folder has it; `may_append` is asked right before.

    Only the bytes that are proven to be those that were sent are filed.
    """
    started = sent_box.clock.now()
    name = None

    def not_filed(error: str, fault: Fault, *, unknown: bool = False) -> Filed:
        outcome = AppendAttemptOutcome.UNKNOWN if unknown else AppendAttemptOutcome.FAILED
        return Filed(outcome, started, name, error, fault)

    try:
        folder = open_folder()
        name = folder.folder()
        copy = _copy(sent_box, tenant_id, job, encoded)
        failpoint("before_append")
        outcome = folder.append(copy, job.message_id, job.sent_at, may_append=may_append)
        failpoint("after_append")
    except SentFolderFailure as failure:
        fault = Fault.SERVER
        if failure.permanent_here:
            fault = Fault.ACCOUNT
        elif failure.refused:
            fault = Fault.REFUSED
        return not_filed(failure.message, fault, unknown=failure.unknown)
    except ConfigurationError as failure:
        return not_filed(str(failure), Fault.ACCOUNT)
    except (BlobDamaged, ValueError) as failure:
        return not_filed(f"The stored message cannot be read back: {failure}", Fault.COPY)
    except (BlobMissing, StorageFailed, OSError) as failure:
        return not_filed(f"The stored attachments cannot be read: {failure}", Fault.HERE)
    return Filed(AppendAttemptOutcome(outcome), started, name)


def write_down(
    sent_box: SentBox,
    tenant_id: UUID,
    job: ToAppend,
    filed: Filed,
    status: ImapStatus,
    *,
    worker: str,
    due_at: datetime | None = None,
) -> None:
    """Record how filing ended, and where the copy is now: due again at `due_at`, if it is."""
    with sent_box.sessions() as session:
        appending.record(
            session,
            tenant_id,
            job,
            filed.outcome,
            status,
            worker=worker,
            started_at=filed.started_at,
            now=sent_box.clock.now(),
            folder=filed.folder,
            error=filed.error,
            due_at=due_at,
        )
        session.commit()


def _copy(sent_box: SentBox, tenant_id: UUID, job: ToAppend, encoded: Base64Cache) -> bytes:
    """The message as it was sent, with its Bcc header."""
    with sent_box.sessions() as session:
        stored = delivery.frame_of(session, tenant_id, job.id)
    if stored is None:
        raise ValueError("it is gone")
    frame = Frame.decode(stored)

    def read(ref: BlobRef) -> bytes:
        return sent_box.blobs.get(tenant_id, ref)

    if frame.digest(read, encoded) != job.sha256:
        raise ValueError("it differs from what was sent")
    return b"".join(frame.sent_copy_chunks(read, encoded))
