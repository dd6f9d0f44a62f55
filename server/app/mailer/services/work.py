"""The worker: takes up operations one by one, keeps hold of each while it works, and ends it.

A worker that dies loses its lease, and another one begins its operation anew. One that was frozen
past its lease finds that it holds nothing any more, and changes nothing more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import require_scope
from app.access.keys import as_now
from app.db.models import Operation, OperationStatus
from app.db.repositories import operations
from app.db.repositories.operations import Held
from app.db.session import DATABASE_AWAY, what_is_away
from app.failpoints import failpoint
from app.mailer.domain.errors import AccessDenied, MailerError
from app.mailer.ports import Clock
from app.mailer.services.operations import SCOPE_OF, Kind, actor_of, fault_row, problem_row

_log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
#: How often a lease is renewed, and a wish to cancel is looked for, whatever the work does.
_BEAT_SECONDS = 3.0
#: Progress is written down no more often than this.
_TELL_SECONDS = 0.25
_POLL_SECONDS = 0.3
_CHORE_SECONDS = 600.0
#: Longest pause after the database could not be used.
_PAUSE_SECONDS = 30.0
MAX_TRIES = 3


class Why(Enum):
    """Why work ends before its time."""

    CANCELLED = "cancelled"
    SHUTDOWN = "shutdown"
    LOST = "lost"


class Stopped(Exception):
    """The work is to end here; raised out of progress, so that whatever works ends with it."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


class Task:
    """An operation in work: what was asked for, and the way to say how far it is.

    It is a `ports.Progress` that raises `Stopped`. `stop` is set when the work is to end, for what
    would rather look than be raised out of.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        clock: Clock,
        operation: Operation,
        shutdown: threading.Event,
    ) -> None:
        self.operation = operation
        self.actor = actor_of(operation)
        self.request: Mapping[str, Any] = operation.request
        self.stop = threading.Event()
        self.is_complete = False
        self._sessions = sessions
        self._clock = clock
        self._held = Held(operation.id, operation.tenant_id, operation.fence)
        self._shutdown = shutdown
        self._why: Why | None = None
        self._told: tuple[str, float] | None = None
        self._progress: tuple[int, int | None] = (0, None)

    @property
    def version_id(self) -> UUID:
        assert self.operation.version_id is not None
        return self.operation.version_id

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        self.tell(phase, done, total)
        self.check()

    def tell(self, phase: str, done: int, total: int | None) -> None:
        """Say how far the work is, without an end to it; `stop` may be set by it."""
        if self._shutdown.is_set():
            self._stop(Why.SHUTDOWN)
        self._progress = (done, total)
        now = self._clock.monotonic()
        if self._told is not None:
            last_phase, at = self._told
            if phase == last_phase and now - at < _TELL_SECONDS:
                return
        self._told = (phase, now)
        try:
            self._beat(phase, done, total)
        except DATABASE_AWAY as error:
            # Only the progress is lost. If the database stays away, the work will notice.
            _log.warning("Progress could not be written: %s", what_is_away(error))

    def check(self) -> None:
        """Raises `Stopped` where the work is to end."""
        if self._shutdown.is_set():
            self._stop(Why.SHUTDOWN)
        if self._why is not None:
            raise Stopped(self._why)

    def commit_to(self, phase: str) -> None:
        """Enter the part that is never begun twice: `operation.phase` tells a worker that takes
        this up later. Raises `Stopped` where somebody else holds the operation by now.
        """
        self._beat(phase, 0, None)
        self.check()

    def complete(
        self,
        session: Session,
        result: Mapping[str, Any],
        *,
        unless_cancelled: bool = False,
        campaign_id: UUID | None = None,
        version_id: UUID | None = None,
    ) -> None:
        """End it well within the transaction that did the work: both are kept, or neither.

        `unless_cancelled` is for work that the rollback takes back entirely: it raises `Stopped`
        where somebody wants it cancelled by now.
        """
        if unless_cancelled:
            lease_until = self._clock.now() + LEASE
            _held, cancelled = operations.beat(session, self._held, lease_until=lease_until)
            if cancelled:
                raise Stopped(Why.CANCELLED)
        ended = operations.finish(
            session,
            self._held,
            OperationStatus.SUCCEEDED,
            self._clock.now(),
            result=dict(result),
            progress=self._progress,
            campaign_id=campaign_id,
            version_id=version_id,
        )
        if not ended:
            raise Stopped(Why.LOST)
        self.is_complete = True

    def fail(self, problem: Mapping[str, Any]) -> None:
        self._end(OperationStatus.FAILED, dict(problem))

    def cancel(self) -> None:
        self._end(OperationStatus.CANCELLED, None)

    def give_back(self) -> None:
        with self._sessions() as session:
            operations.give_back(session, self._held)
            session.commit()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Keeps the lease meanwhile, in a thread of its own."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(_BEAT_SECONDS):
                if self._shutdown.is_set():
                    self._stop(Why.SHUTDOWN)
                try:
                    self._beat(None, 0, None)
                except DATABASE_AWAY as error:
                    _log.warning("The lease could not be renewed: %s", what_is_away(error))

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat(self, phase: str | None, done: int, total: int | None) -> None:
        with self._sessions() as session:
            held, cancelled = operations.beat(
                session,
                self._held,
                lease_until=self._clock.now() + LEASE,
                phase=phase,
                done=done,
                total=total,
            )
            session.commit()
        if cancelled:
            self._stop(Why.CANCELLED)
        elif not held and not self.is_complete:
            self._stop(Why.LOST)

    def _stop(self, why: Why) -> None:
        if self._why is None:
            self._why = why
        self.stop.set()

    def _end(self, status: OperationStatus, problem: dict[str, Any] | None) -> None:
        with self._sessions() as session:
            operations.finish(session, self._held, status, self._clock.now(), problem=problem)
            session.commit()


#: Does the work of one kind; the result, or None where it called `Task.complete` itself.
Work = Callable[[Task], Mapping[str, Any] | None]


class Worker:
    """Works on whatever waits, for all tenants, until `shutdown` is set.

    `undo` cleans up after one that was cancelled, refused or given up. In `development` the
    development key counts. `chores` are done now and then.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        reading: sessionmaker[Session],
        clock: Clock,
        name: str,
        works: Mapping[Kind, Work],
        *,
        shutdown: threading.Event,
        development: bool = False,
        undo: Callable[[Operation], None] = lambda _operation: None,
        chores: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._sessions = sessions
        self._reading = reading
        self._clock = clock
        self._name = name
        self._works = works
        self._shutdown = shutdown
        self._development = development
        self._undo = undo
        self._chores = chores

    def run(self) -> None:
        """Work until shutdown. While the database is away it waits, longer each time."""
        pause = _POLL_SECONDS
        chores_at = self._clock.monotonic()
        while not self._shutdown.is_set():
            try:
                if self._clock.monotonic() >= chores_at:
                    chores_at = self._clock.monotonic() + _CHORE_SECONDS
                    self._do_chores()
                if self.run_next():
                    continue
                pause = _POLL_SECONDS
            except DATABASE_AWAY as error:
                pause = min(pause * 2, _PAUSE_SECONDS)
                _log.warning("The database cannot be used, so work waits: %s", what_is_away(error))
            self._shutdown.wait(pause)

    def run_next(self) -> bool:
        """Do the next operation, if there is one."""
        operation = self._claim()
        if operation is None:
            return False
        self._do(operation)
        return True

    def _claim(self) -> Operation | None:
        now = self._clock.now()
        # On SQLite a claim keeps others from writing, and mostly there is nothing to claim.
        with self._reading() as session:
            if not operations.any_due(session, now):
                return None
        with self._sessions() as session:
            operation = operations.claim(
                session, worker=self._name, now=now, lease_until=now + LEASE
            )
            session.commit()
        return operation

    def _do(self, operation: Operation) -> None:
        task = Task(self._sessions, self._clock, operation, self._shutdown)
        _log.info("%s %s begins (try %d)", operation.kind, operation.id, operation.tries)
        with task.beating():
            try:
                how = self._end_of(task)
            except DATABASE_AWAY as error:
                # Its lease runs out, and then it is tried again.
                how = f"broke off: {what_is_away(error)}"
        _log.info("%s %s %s", operation.kind, operation.id, how)

    def _end_of(self, task: Task) -> str:
        operation = task.operation
        try:
            failpoint("operation_claimed")
            if operation.cancel_requested_at is not None:
                raise Stopped(Why.CANCELLED)
            if operation.tries > MAX_TRIES:
                self._undo(operation)
                raise MailerError(
                    f"It broke off {MAX_TRIES} times, so it is not tried again.",
                    "The worker's log says why; then ask again.",
                )
            kind = Kind(operation.kind)
            self._admit(task, kind)
            result = self._works[kind](task)
            if not task.is_complete:
                with self._sessions() as session:
                    task.complete(session, result or {})
                    session.commit()
        except Stopped as stopped:
            if stopped.why is Why.SHUTDOWN:
                task.give_back()
                return "is given back"
            if stopped.why is Why.CANCELLED:
                self._undo(operation)
                task.cancel()
            return f"is {stopped.why.value}"
        except MailerError as error:
            task.fail(problem_row(error))
            return f"failed: {type(error).__name__}"
        except DATABASE_AWAY:
            raise
        except Exception:
            _log.exception("%s %s met a fault", operation.kind, operation.id)
            task.fail(fault_row())
            return "failed"
        return "is done"

    def _admit(self, task: Task, kind: Kind) -> None:
        """Between the request and its work, somebody may have lost what they need for it."""
        try:
            with self._reading() as session:
                task.actor = as_now(
                    session, task.actor, self._clock.now(), development=self._development
                )
            require_scope(task.actor, SCOPE_OF[kind])
        except AccessDenied:
            self._undo(task.operation)
            raise

    def _do_chores(self) -> None:
        for chore in self._chores:
            try:
                chore()
            except MailerError as error:
                _log.warning("A chore failed: %s", error)
