"""What one connection writes down of its messages: in this machine's journal, then the database.

The order is the promise (`line`): the commit before the dot, the dot in the journal before it
leaves, the answer in the journal before the database hears of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.db.repositories import attempts, delivery
from app.db.repositories.attempts import Settled
from app.db.repositories.delivery import Claimed
from app.failpoints import failpoint
from app.mailer.domain.delivery.job import Event, SendStatus, target_of
from app.mailer.ports import JournalRecord, Reply, Stage
from app.mailer.services.lane import Cause, Stopped
from app.mailer.services.recovery import replay
from app.mailer.services.run import Run

_MAKE_ROOM = "Make room on the disk or mend JOURNAL_DIR, then run the same command again."


class _Outrun(Exception):
    """Some job moved on without this worker: each is to be looked at by itself."""


class Ledger:
    """What became of messages waits in it until `commit` or `write_down` records it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._gear = run.gear
        self._lane = run.lane
        self._worker = run.gear.journal.worker
        self._settled: list[Settled] = []

    def add(self, settled: Settled) -> None:
        self._settled.append(settled)

    # -- the journal

    def make_room(self) -> None:
        """Raises `Stopped` where answers would not find room."""
        try:
            self._gear.journal.check()
        except OSError as error:
            raise unwritable(error) from error

    def note_dot(self, job: Claimed) -> None:
        """The closing dot is about to leave. Raises `Stopped`: then it may not."""
        try:
            self._gear.journal.dot(job.id, job.fence)
        except OSError as error:
            raise unwritable(error) from error

    def _sync(self) -> None:
        if self._settled:
            try:
                self._gear.journal.sync()
            except OSError:
                # The answers are still here, and the database may take them; the next dot will not
                # find room.
                return

    # -- the database

    def commit(self, jobs: Sequence[Claimed]) -> set[UUID]:
        """In one transaction: what became of the messages before, and the yes to the next ones.

        The jobs that have it.
        """
        lane, gear = self._lane, self._gear
        self._sync()
        try:
            with gear.sessions() as session:
                self._lock(session, jobs)
                statuses = self._record_all(session)
                won = attempts.commit_to_send(
                    session,
                    lane.tenant_id,
                    lane.campaign_id,
                    jobs,
                    worker=self._worker,
                    lease_until=gear.clock.now() + gear.lease,
                )
                failpoint("before_commit")
                session.commit()
        except _Outrun:
            self._record_each()
            return self.commit(jobs)
        self._tell(statuses)
        return won

    def write_down(self) -> None:
        """What became of the messages before, where no other one is committed."""
        if not self._settled:
            return
        self._sync()
        try:
            with self._gear.sessions() as session:
                self._lock(session)
                statuses = self._record_all(session)
                session.commit()
        except _Outrun:
            self._record_each()
            return
        self._tell(statuses)

    def _lock(self, session: Session, jobs: Sequence[Claimed] = ()) -> None:
        """Take the rows in everybody's order, where they are several."""
        job_ids = [each.job.id for each in self._settled] + [job.id for job in jobs]
        if len(job_ids) > 1:
            delivery.lock_in_order(session, self._lane.tenant_id, job_ids)

    def _record_all(self, session: Session) -> list[tuple[Claimed, SendStatus]]:
        """Write down all that is settled; what most of it is, accepted, in two statements."""
        accepted = [each for each in self._settled if each.attempted.event is Event.ACCEPTED]
        for each in self._settled:
            if each.attempted.event is not Event.ACCEPTED and not self._record(session, each):
                raise _Outrun
        if accepted and not attempts.record_accepted(
            session,
            self._lane.tenant_id,
            accepted,
            worker=self._worker,
            append_pending=self._lane.append_sent,
        ):
            raise _Outrun
        return [(each.job, target_of(each.attempted.event)) for each in self._settled]

    def _record_each(self) -> None:
        """Write down one by one what is settled, since something moved on meanwhile."""
        told = []
        for each in self._settled:
            with self._gear.sessions() as session:
                status: SendStatus | None = None
                if self._record(session, each):
                    status = target_of(each.attempted.event)
                elif each.attempted.reply is not None and each.attempted.stage is Stage.DOT:
                    # Frozen past the lease after the dot: it is in doubt, and this is evidence.
                    status = self._replay(session, each, each.attempted.reply)
                session.commit()
            if status is not None:
                told.append((each.job, status))
        self._tell(told)

    def _record(self, session: Session, each: Settled) -> bool:
        return attempts.record(
            session,
            self._lane.tenant_id,
            each,
            worker=self._worker,
            append_pending=self._lane.append_sent,
        )

    def _replay(self, session: Session, each: Settled, reply: Reply) -> SendStatus | None:
        record = JournalRecord(each.job.id, each.job.fence, reply.code, reply.text, each.at)
        return replay(session, self._lane.tenant_id, record, lambda _version: self._lane)

    def _tell(self, statuses: Sequence[tuple[Claimed, SendStatus]]) -> None:
        self._settled.clear()
        if statuses:
            failpoint("after_record")
        for job, status in statuses:
            self._run.done(job, status)


def unwritable(error: OSError) -> Stopped:
    """What ends the run where the journal cannot be written."""
    return Stopped(Cause.HERE, f"The journal of replies cannot be written: {error}", _MAKE_ROOM)
