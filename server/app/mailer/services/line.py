"""One connection to the mail server, and the messages that go over it. Nothing lost, nothing twice.

One message goes through these steps, and a crash between any two of them is told from the rows and
from this machine's journal:

1. claim: the job is leased to this worker under a new fence (one statement for a batch);
2. stage: envelope and text go to the server, all but the closing dot;
3. commit: one compare-and-set says that the dot may leave; no row won, no dot;
4. note: the journal says that the dot is about to leave;
5. finish: the dot leaves, the server answers;
6. journal: the answer is on this machine's disk;
7. record: the answer is in the database.

Before 4 everything can be repeated. Between 4 and 6 the job is in doubt. After 6 the journal is
replayed. The order of these steps is the promise; do not change it to save a round trip.

Where nothing limits the pace, a window of messages is committed in one transaction, before the
first of them is staged, and together with what became of the window before. What the loss of the
process leaves in doubt is the same, since the journal names each dot; the loss of the whole machine
leaves a window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from app.db.models import AttemptOutcome
from app.db.repositories import attempts, delivery, leases
from app.db.repositories.attempts import Attempted, Settled
from app.db.repositories.delivery import Claimed
from app.failpoints import failpoint
from app.mailer.domain.delivery.job import Event
from app.mailer.domain.delivery.replies import Outcome, Verdict, classify, said
from app.mailer.domain.errors import BlobMissing, StorageFailed
from app.mailer.ports import (
    Envelope,
    JournalRecord,
    RecipientReply,
    Stage,
    TransportFailure,
)
from app.mailer.services.approved_bytes import ChangedAfterBuild, approved_bytes
from app.mailer.services.lane import Cause, Stopped
from app.mailer.services.ledger import Ledger, unwritable
from app.mailer.services.recovery import settled
from app.mailer.services.run import Run

#: Due jobs that a connection takes at once where no rate limit asks for one at a time: few at
#: first, so that the other connections find some.
FIRST_BATCH, BATCH = 4, 64
#: Bytes of messages in one window, since they are in memory.
_WINDOW_BYTES = 4 * 2**20
#: After so many failures in a row before a message could begin, the run ends; the other messages
#: stay queued.
UNREACHABLE_TRIES = 3
#: After so many complaints about the pace in a row, each after it was lowered, the run ends, too.
COMPLAINTS = 3
RESUME = "What is not sent stays queued; resume the campaign, then run the same command again."
_MEND = "Mend the account, then run the same command again."
_BEFORE_A_MESSAGE = frozenset({Stage.CONNECT, Stage.TLS, Stage.AUTH})


class Line:
    """One connection of a run, and the jobs that are claimed for it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._gear = run.gear
        self._lane = run.lane
        self._worker = run.gear.journal.worker
        self._transport = run.lane.connect()
        self._held: deque[Claimed] = deque()
        self._batch = FIRST_BATCH
        #: Committed, and no dot of them left.
        self._committed: deque[tuple[Claimed, list[bytes]]] = deque()
        self._renew_at = 0.0
        self._ledger = Ledger(run)
        self._unreachable = 0

    def work(self) -> None:
        try:
            while not self._run.ended and (self._held or self._claim()):
                if (opens := self._lane.opens()) is not None:
                    raise Stopped(
                        Cause.NOBODY,
                        f"The send window has closed; it opens at {opens:%Y-%m-%d %H:%M} UTC.",
                    )
                if self._one_by_one:
                    self._ledger.write_down()
                    self._send_one()
                else:
                    self._send_window()
                if self._run.is_paced:
                    # Others than this one were claimed before the server asked for a pace.
                    self._release()
            if not self._run.ended:
                # Nothing left to claim, or nothing that may be.
                self._stop_if_paused()
        finally:
            self._end()

    def _end(self) -> None:
        """Write down what is known, and give the rest back."""
        try:
            self._ledger.write_down()
            self._withdraw()
            self._release()
        finally:
            self._lane.disconnect(self._transport)

    # -- claim and give back

    def _claim(self) -> bool:
        """Take due jobs; under a rate limit one, when its turn has come."""
        if not self._run.is_paced and self._gear.limiter.slowed(self._lane.account.key):
            # The server complained to somebody else who sends by this account.
            self._run.is_paced = True
        if not self._run.is_paced:
            batch, self._batch = self._batch, min(2 * self._batch, BATCH)
            return self._take(batch)
        self._ledger.write_down()
        with self._run.turn:
            # Looked at first, so that nobody waits for a place that no message needs.
            if self._run.ended or not self._any_due():
                return False
            patience = self._run.patience
            wait = self._gear.limiter.reserve(self._lane.allowances, patience)
            if wait > patience:
                # Nobody waits here for a place that comes after the end of the run.
                self._run.end()
                return False
            self._run.wait(wait)
            return self._take(1)

    def _any_due(self) -> bool:
        with self._gear.sessions() as session:
            return delivery.any_due(
                session, self._lane.tenant_id, self._lane.version_id, self._gear.clock.now()
            )

    def _take(self, wanted: int) -> bool:
        places = self._run.take_places(wanted)
        if self._run.ended or not places:
            return False
        now = self._gear.clock.now()
        with self._gear.sessions() as session:
            self._held.extend(
                delivery.claim(
                    session,
                    self._lane.tenant_id,
                    self._lane.version_id,
                    worker=self._worker,
                    now=now,
                    lease_until=now + self._gear.lease,
                    limit=places,
                )
            )
            session.commit()
        self._run.give_places_back(places - len(self._held))
        failpoint("after_claim")
        return bool(self._held)

    def _release(self) -> None:
        """Give back what was claimed and not tried."""
        if self._held:
            with self._gear.sessions() as session:
                leases.release(session, self._lane.tenant_id, self._held, self._worker)
                session.commit()
            self._run.give_places_back(len(self._held))
            self._held.clear()

    def _withdraw(self) -> None:
        """Give back what was committed, of which no dot left."""
        if self._committed:
            jobs = [job for job, _ in self._committed]
            with self._gear.sessions() as session:
                leases.withdraw(session, self._lane.tenant_id, jobs)
                session.commit()
            self._run.give_places_back(len(jobs))
            self._committed.clear()

    # -- one message, staged before it is committed

    def _send_one(self) -> None:
        """One message from its frozen bytes to the recorded reply, unless it is taken from us."""
        job = self._held[0]
        chunks = self._bytes_of(job, self._frames([job]))
        if chunks is None:
            self._held.popleft()
            return
        started, slowed_before = self._gear.clock.now(), self._run.slowed
        try:
            recipients = self._stage(job, chunks)
        except TransportFailure as failure:
            self._not_sent(job, failure, slowed_before, committed=False)
            self._held.popleft()
            self._ledger.write_down()
            self._consider(classify(failure), failure.message, failure)
            return
        try:
            failpoint("after_stage")
            self._ledger.make_room()
            won = self._ledger.commit([job])
            failpoint("after_commit")
        except BaseException:
            self._transport.abort()
            raise
        if not won:
            self._transport.abort()
            self._stop_if_paused()
            self._held.popleft()
            return
        self._committed.append((job, chunks))
        self._held.popleft()
        self._finish(job, recipients, started, slowed_before)

    # -- a window of messages, committed before the first is staged

    def _send_window(self) -> None:
        wave = self._prepare()
        if not wave:
            return
        self._ledger.make_room()
        won = self._ledger.commit([job for job, _ in wave])
        failpoint("after_commit")
        for each in wave:
            self._held.popleft()
            if each[0].id in won:
                self._committed.append(each)
        self._renew_at = self._gear.clock.monotonic() + self._gear.lease.total_seconds() / 3
        # A complaint about the pace ends the window: the rest of it goes one by one.
        while self._committed and not (self._run.is_stopping or self._run.is_paced):
            self._send_committed()
        self._withdraw()
        if lost := [job for job, _ in wave if job.id not in won]:
            # Paused, they are still this worker's to give back; else somebody has taken them.
            self._held.extendleft(reversed(lost))
            self._stop_if_paused()
            for _ in lost:
                self._held.popleft()

    def _prepare(self) -> list[tuple[Claimed, list[bytes]]]:
        """Put the next messages together, and prove their bytes; they stay in hand."""
        some: list[Claimed] = []
        size = 0
        for job in self._held:
            size += job.size
            if len(some) == self._gear.window or (some and size > _WINDOW_BYTES):
                break
            some.append(job)
        frames = self._frames(some)
        wave = []
        for job in some:
            chunks = self._bytes_of(job, frames)
            if chunks is None:
                self._held.remove(job)
            else:
                wave.append((job, chunks))
        return wave

    def _send_committed(self) -> None:
        job, chunks = self._committed[0]
        if not self._still_ours():
            return
        started, slowed_before = self._gear.clock.now(), self._run.slowed
        try:
            recipients = self._stage(job, chunks)
        except TransportFailure as failure:
            self._not_sent(job, failure, slowed_before, committed=True)
            self._committed.popleft()
            self._consider(classify(failure), failure.message, failure)
            return
        failpoint("after_stage")
        self._finish(job, recipients, started, slowed_before)

    def _still_ours(self) -> bool:
        """A window that takes long keeps its lease, or loses what somebody has taken from it."""
        clock = self._gear.clock
        if clock.monotonic() < self._renew_at:
            return True
        with self._gear.sessions() as session:
            kept = attempts.renew(
                session,
                self._lane.tenant_id,
                [job for job, _ in self._committed],
                worker=self._worker,
                until=clock.now() + self._gear.lease,
            )
            session.commit()
        self._renew_at = clock.monotonic() + self._gear.lease.total_seconds() / 3
        gone = [each for each in self._committed if each[0].id not in kept]
        if gone:
            # Taken for in doubt while this process was frozen, and it knows better.
            with self._gear.sessions() as session:
                leases.withdraw(session, self._lane.tenant_id, [job for job, _ in gone])
                session.commit()
            self._committed = deque(each for each in self._committed if each[0].id in kept)
        return not gone

    # -- steps

    def _frames(self, jobs: Sequence[Claimed]) -> dict[UUID, bytes]:
        with self._gear.sessions() as session:
            return delivery.frames_of(session, self._lane.tenant_id, [job.id for job in jobs])

    def _bytes_of(self, job: Claimed, frames: dict[UUID, bytes]) -> list[bytes] | None:
        """The approved bytes; None where they are no longer those, which ends the job."""
        gear = self._gear
        try:
            return approved_bytes(
                job,
                frames.get(job.id),
                lambda ref: gear.blobs.get(self._lane.tenant_id, ref),
                gear.encoded,
            )
        except ChangedAfterBuild as changed:
            changed_after = Attempted(Event.CHANGED, None, Stage.CONNECT, error=str(changed))
            self._ledger.add(Settled(job, changed_after, gear.clock.now()))
            self._ledger.write_down()
            return None
        except (BlobMissing, StorageFailed, OSError) as error:
            raise Stopped(
                Cause.HERE,
                f"The stored attachments cannot be read: {error}",
                "Make the file store available again, then run the same command.",
            ) from error

    def _stage(self, job: Claimed, chunks: list[bytes]) -> tuple[RecipientReply, ...]:
        envelope = Envelope(job.envelope_from, job.recipients, job.needs_smtputf8)
        recipients = self._transport.stage(envelope, job.size, chunks).recipients
        self._unreachable = 0
        return recipients

    def _finish(
        self,
        job: Claimed,
        recipients: tuple[RecipientReply, ...],
        started: datetime,
        slowed_before: int,
    ) -> None:
        """The dot of the first committed job leaves now; what comes back is journalled."""
        gear = self._gear
        try:
            self._ledger.note_dot(job)
        except Stopped:
            self._transport.abort()
            raise
        self._committed.popleft()
        failpoint("before_dot")
        try:
            reply = self._transport.finish()
        except TransportFailure as failure:
            lost = Attempted(
                Event.LOSE,
                AttemptOutcome.UNKNOWN,
                Stage.DOT,
                error=failure.message,
                recipients=recipients,
                committed=True,
                data_started_at=started,
            )
            self._settle(Settled(job, lost, gear.clock.now()))
            return
        failpoint("after_dot")
        now = gear.clock.now()
        unwritten: OSError | None = None
        try:
            gear.journal.record(JournalRecord(job.id, job.fence, reply.code, reply.text, now))
        except OSError as error:
            # The answer is still here, and the database may take it.
            unwritten = error
        failpoint("after_journal")
        verdict = classify(reply)
        self._run.heard(too_fast=verdict.slow_down, slowed_before=slowed_before)
        ended = settled(verdict, job, job.attempt_count + 1, now, self._lane, reply=reply)
        ended = replace(ended, recipients=recipients, committed=True, data_started_at=started)
        self._settle(Settled(job, ended, now))
        if unwritten is not None:
            raise unwritable(unwritten)
        if verdict.outcome is Outcome.ACCOUNT:
            raise Stopped(Cause.ACCOUNT, f"The server refuses this account: {said(reply)}", _MEND)
        self._consider(verdict, said(reply))

    def _settle(self, settled: Settled) -> None:
        """What came of a dot; where letters go one by one it is written down at once."""
        self._ledger.add(settled)
        if self._one_by_one:
            self._ledger.write_down()

    @property
    def _one_by_one(self) -> bool:
        return self._run.is_paced or self._gear.window == 1

    def _not_sent(
        self, job: Claimed, failure: TransportFailure, slowed_before: int, *, committed: bool
    ) -> None:
        """The conversation failed before the dot: the job, or the account, is at fault."""
        verdict = classify(failure)
        if verdict.outcome is Outcome.ACCOUNT:
            # A server that takes no connection may be starting; what it says is meant.
            is_away = failure.stage is Stage.CONNECT and failure.reply is None
            cause = Cause.SERVER if is_away else Cause.ACCOUNT
            raise Stopped(cause, failure.message, f"No try was counted. {_MEND}")
        self._unreachable = self._unreachable + 1 if failure.stage in _BEFORE_A_MESSAGE else 0
        if failure.reply is not None:
            self._run.heard(too_fast=verdict.slow_down, slowed_before=slowed_before)
        now = self._gear.clock.now()
        ended = settled(verdict, job, job.attempt_count + 1, now, self._lane, failure)
        self._ledger.add(Settled(job, replace(ended, committed=committed), now))

    def _consider(
        self, verdict: Verdict, answer: str, failure: TransportFailure | None = None
    ) -> None:
        """End the run where what happened to one message would happen to all."""
        if verdict.slow_down and self._run.complaints >= COMPLAINTS:
            raise Stopped(
                Cause.SERVER,
                f"{COMPLAINTS} times in a row the server said that this is too fast: {answer}",
                "The other messages are still queued. Run the same command later, or lower "
                "`delivery.rate_limit.messages_per_minute` in the next version.",
            )
        if self._unreachable >= UNREACHABLE_TRIES:
            raise Stopped(Cause.SERVER, answer, "The other messages are still queued.")
        if failure is not None and failure.reply is None:
            return
        if self._run.refuses_all(verdict.outcome, failure.stage if failure else Stage.DOT):
            raise Stopped(
                Cause.ACCOUNT,
                f"The server refuses one letter after the other: {answer}",
                "The others are still queued. Ask who runs the server, mend what it minds, then go "
                "on; those that failed can be retried.",
            )

    def _stop_if_paused(self) -> None:
        with self._gear.sessions() as session:
            pause = delivery.pause_of(session, self._lane.tenant_id, self._lane.version_id)
        if pause is not None:
            raise Stopped(Cause.NOBODY, str(pause), RESUME)
