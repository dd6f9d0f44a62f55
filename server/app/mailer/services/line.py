"""One connection to the mail server, and the messages that go over it. Nothing lost, nothing twice.

One message goes through these steps, and a crash between any two of them is told from the rows:

1. claim: the job is leased to this worker under a new fence (one statement for a batch);
2. stage: envelope and text go to the server, all but the closing dot;
3. commit: one compare-and-set says that the dot may leave; no row won, no dot;
4. finish: the dot leaves, the server answers;
5. journal: the answer is on this machine's disk;
6. record: the answer is in the database.

Before 3 everything can be repeated. Between 3 and 5 the job is in doubt. After 5 the journal is
replayed. The order of these steps is the promise; do not change it to save a round trip.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

from app.db.models import AttemptOutcome
from app.db.repositories import attempts, delivery, leases
from app.db.repositories.attempts import Attempted
from app.db.repositories.delivery import Claimed
from app.failpoints import failpoint
from app.mailer.domain.delivery.job import Event, SendStatus, target_of
from app.mailer.domain.delivery.replies import Outcome, Verdict, classify, said
from app.mailer.domain.errors import BlobMissing, StorageFailed
from app.mailer.ports import Envelope, JournalRecord, Stage, Staged, TransportFailure
from app.mailer.services.approved_bytes import ChangedAfterBuild, approved_bytes
from app.mailer.services.lane import Cause, Stopped
from app.mailer.services.recovery import replay, settled
from app.mailer.services.run import Run

#: How many due jobs all connections hold together where no rate limit asks for one at a time.
BATCH = 20
#: After so many failures in a row before a message could begin, the run ends; the other messages
#: stay queued.
UNREACHABLE_TRIES = 3
#: After so many complaints about the pace in a row, each after it was lowered, the run ends, too.
COMPLAINTS = 3
_MAKE_ROOM = "Make room on the disk or mend JOURNAL_DIR, then run the same command again."
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
        self._unreachable = 0

    def work(self) -> None:
        try:
            while not self._run.ended and (self._held or self._claim()):
                if (opens := self._lane.opens()) is not None:
                    raise Stopped(
                        Cause.NOBODY,
                        f"The send window has closed; it opens at {opens:%Y-%m-%d %H:%M} UTC.",
                    )
                self._send(self._held[0])
                self._held.popleft()
                if self._run.is_paced:
                    # Others than this one were claimed before the server asked for a pace.
                    self._release()
            if not self._run.ended:
                # Nothing left to claim, or nothing that may be.
                self._stop_if_paused()
        finally:
            try:
                self._release()
            finally:
                self._lane.disconnect(self._transport)

    def _claim(self) -> bool:
        """Take due jobs; under a rate limit one, when its turn has come."""
        if not self._run.is_paced:
            return self._take(max(1, BATCH // self._lane.concurrency))
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

    def _send(self, job: Claimed) -> None:
        """One message from its frozen bytes to the recorded reply, unless it is taken from us."""
        gear = self._gear
        with gear.sessions() as session:
            frame = delivery.frame_of(session, self._lane.tenant_id, job.id)
        try:
            chunks = approved_bytes(
                job, frame, lambda ref: gear.blobs.get(self._lane.tenant_id, ref), gear.encoded
            )
        except ChangedAfterBuild as changed:
            self._record(job, Attempted(Event.CHANGED, None, Stage.CONNECT, error=str(changed)))
            return
        except (BlobMissing, StorageFailed, OSError) as error:
            raise Stopped(
                Cause.HERE,
                f"The stored attachments cannot be read: {error}",
                "Make the file store available again, then run the same command.",
            ) from error

        started = gear.clock.now()
        slowed_before = self._run.slowed
        envelope = Envelope(job.envelope_from, job.recipients, job.needs_smtputf8)
        try:
            staged = self._transport.stage(envelope, job.size, chunks)
        except TransportFailure as failure:
            self._not_sent(job, failure, slowed_before)
            return
        self._unreachable = 0
        try:
            failpoint("after_stage")
            gear.journal.check()
            won = self._commit(job, started, staged)
            failpoint("after_commit")
        except BaseException as error:
            self._transport.abort()
            if isinstance(error, OSError):
                raise Stopped(
                    Cause.HERE, f"The journal of replies cannot be written: {error}", _MAKE_ROOM
                ) from error
            raise
        if won:
            self._finish(job, slowed_before)
        else:
            self._transport.abort()
            self._stop_if_paused()

    def _stop_if_paused(self) -> None:
        with self._gear.sessions() as session:
            pause = delivery.pause_of(session, self._lane.tenant_id, self._lane.version_id)
        if pause is not None:
            raise Stopped(Cause.NOBODY, str(pause), RESUME)

    def _commit(self, job: Claimed, started: datetime, staged: Staged) -> bool:
        with self._gear.sessions() as session:
            won = attempts.commit_to_send(
                session,
                self._lane.tenant_id,
                job,
                worker=self._worker,
                lease_until=self._gear.clock.now() + self._gear.lease,
                data_started_at=started,
                recipients=staged.recipients,
            )
            failpoint("before_commit")
            session.commit()
        return won

    def _finish(self, job: Claimed, slowed_before: int) -> None:
        """The dot leaves now; what comes back is journalled, then recorded."""
        gear = self._gear
        try:
            reply = self._transport.finish()
        except TransportFailure as failure:
            self._record(
                job,
                Attempted(Event.LOSE, AttemptOutcome.UNKNOWN, Stage.DOT, error=failure.message),
            )
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
        self._record(
            job, settled(verdict, job, job.attempt_count + 1, now, self._lane, reply=reply)
        )
        failpoint("after_record")
        if unwritten is not None:
            raise Stopped(
                Cause.HERE, f"The journal of replies cannot be written: {unwritten}", _MAKE_ROOM
            )
        if verdict.outcome is Outcome.ACCOUNT:
            raise Stopped(Cause.ACCOUNT, f"The server refuses this account: {said(reply)}", _MEND)
        self._stop_if_too_fast(verdict, said(reply))

    def _not_sent(self, job: Claimed, failure: TransportFailure, slowed_before: int) -> None:
        """The conversation failed before the dot: the job, or the account, is at fault."""
        verdict = classify(failure)
        if verdict.outcome is Outcome.ACCOUNT:
            raise Stopped(Cause.ACCOUNT, failure.message, f"No try was counted. {_MEND}")
        self._unreachable = self._unreachable + 1 if failure.stage in _BEFORE_A_MESSAGE else 0
        if failure.reply is not None:
            self._run.heard(too_fast=verdict.slow_down, slowed_before=slowed_before)
        now = self._gear.clock.now()
        self._record(job, settled(verdict, job, job.attempt_count + 1, now, self._lane, failure))
        self._stop_if_too_fast(verdict, failure.message)
        if self._unreachable >= UNREACHABLE_TRIES:
            raise Stopped(Cause.SERVER, failure.message, "The other messages are still queued.")

    def _stop_if_too_fast(self, verdict: Verdict, answer: str) -> None:
        if verdict.slow_down and self._run.complaints >= COMPLAINTS:
            raise Stopped(
                Cause.SERVER,
                f"{COMPLAINTS} times in a row the server said that this is too fast: {answer}",
                "The other messages are still queued. Run the same command later, or lower "
                "`delivery.rate_limit.messages_per_minute` in the next version.",
            )

    def _record(self, job: Claimed, attempted: Attempted) -> None:
        tenant_id, now = self._lane.tenant_id, self._gear.clock.now()
        status: SendStatus | None = None
        with self._gear.sessions() as session:
            if attempts.record(
                session,
                tenant_id,
                job,
                attempted,
                worker=self._worker,
                now=now,
                append_pending=self._lane.append_sent,
            ):
                status = target_of(attempted.event)
            elif attempted.reply is not None and attempted.stage is Stage.DOT:
                # Frozen past the lease after the dot: the job is in doubt, and this is evidence.
                reply = attempted.reply
                status = replay(
                    session,
                    tenant_id,
                    JournalRecord(job.id, job.fence, reply.code, reply.text, now),
                    lambda _version: self._lane,
                )
            session.commit()
        if status is not None:
            self._run.done(job, status)
