"""One run of the engine: what its connections share, from the limit to the reason for stopping."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.db.repositories.delivery import Claimed
from app.db.session import DATABASE_AWAY
from app.mailer.domain.delivery.breaker import LETTERS_REFUSED, SENDERS_REFUSED
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.delivery.replies import Outcome
from app.mailer.domain.mail_account import slowest
from app.mailer.ports import LimiterAway, Stage, StopSign
from app.mailer.services.lane import Cause, Gear, Lane, OnDone, Stopped, Tally

#: Letters a minute that a run starts from where the server complains before it took any.
_MODEST_PACE = 60.0
_LIMITS = "Nothing is sent without them. Start Redis, or mend REDIS_URL; letters wait meanwhile."


class Run:
    """What the connections of one run share."""

    def __init__(
        self,
        gear: Gear,
        lane: Lane,
        stop: StopSign,
        limit: int | None,
        seconds: float | None,
        on_done: OnDone,
    ) -> None:
        self.gear = gear
        self.lane = lane
        self.tally = Tally()
        self._stop = stop
        self._halted = threading.Event()
        self._left = limit
        self._on_done = on_done
        self._lock = threading.Lock()
        self._began = gear.clock.monotonic()
        self._until = math.inf if seconds is None else self._began + seconds
        #: Whether letters go one by one, when their turn comes. A complaint makes it so.
        self.is_paced = lane.is_paced
        #: How often the pace was lowered, and how often since a message was answered otherwise.
        self.slowed = 0
        self.complaints = 0
        self._senders_refused = self._letters_refused = 0
        #: Held by the one connection that waits for the next place under a rate limit.
        self.turn = threading.Lock()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around one connection's share of the run: what ends it there ends the whole run."""
        try:
            yield
        except Stopped as stopped:
            self._halt(stopped.cause, stopped.reason, stopped.hint)
        except LimiterAway as away:
            self._halt(Cause.HERE, f"The limits cannot be asked: {away}", _LIMITS)
        except DATABASE_AWAY as error:
            self.tally.unrecorded = True
            self._halt(
                Cause.HERE,
                f"The database could not be used ({type(error).__name__}).",
                "Run the same command again: what the server answered is in the journal.",
            )
        except Exception as error:
            self.tally.unrecorded = True
            self._halt(Cause.HERE, f"Sending ended unexpectedly ({type(error).__name__}: {error}).")
            raise

    @property
    def ended(self) -> bool:
        return self.is_stopping or self.gear.clock.monotonic() >= self._until

    @property
    def is_stopping(self) -> bool:
        """Whether nothing that has not begun should begin any more; a time that is up can wait."""
        return self._stop.is_set() or self._halted.is_set()

    @property
    def patience(self) -> float:
        """How many seconds the run goes on at most."""
        return max(0.0, self._until - self.gear.clock.monotonic())

    def end(self) -> None:
        """Let all connections come to their end."""
        self._halted.set()

    def wait(self, seconds: float) -> None:
        """Wait, at most until the run ends."""
        clock = self.gear.clock
        until = clock.monotonic() + seconds
        while not self.ended and (left := until - clock.monotonic()) > 0:
            clock.sleep(min(left, 0.2))

    def take_places(self, wanted: int) -> int:
        """How many more messages may be claimed, `wanted` at most, within the run's limit."""
        with self._lock:
            if self._left is None:
                return wanted
            taken = min(wanted, self._left)
            self._left -= taken
            return taken

    def give_places_back(self, count: int) -> None:
        with self._lock:
            if self._left is not None:
                self._left += count

    def heard(self, *, too_fast: bool, slowed_before: int) -> None:
        """What the server thinks of the pace, by its answer about one message.

        `slowed_before` is what `slowed` was when that message began: the complaints of several
        connections about one and the same pace are one.
        """
        with self._lock:
            if not too_fast:
                self.complaints = 0
                return
            if slowed_before < self.slowed:
                return
            self.slowed += 1
            self.complaints += 1
            self.is_paced = True
            allowed = slowest(*(each.per_minute for each in self.lane.allowances))
            self.gear.limiter.slow_down(self.lane.account.key, allowed or self._reached())

    def _reached(self) -> float:
        minutes = max(1.0, self.gear.clock.monotonic() - self._began) / 60
        return max(_MODEST_PACE, self.tally.outcomes[SendStatus.SENT] / minutes)

    def refuses_all(self, outcome: Outcome, stage: Stage) -> bool:
        """Whether the server refuses so many in a row, whoever they are for, that it means us."""
        with self._lock:
            if outcome is Outcome.ACCEPTED:
                self._senders_refused = self._letters_refused = 0
            elif outcome is Outcome.REJECTED and stage is Stage.MAIL:
                self._senders_refused += 1
            elif outcome is Outcome.REJECTED and stage in (Stage.DATA, Stage.DOT):
                self._letters_refused += 1
            return (
                self._senders_refused >= SENDERS_REFUSED or self._letters_refused >= LETTERS_REFUSED
            )

    def done(self, job: Claimed, status: SendStatus) -> None:
        with self._lock:
            self.tally.outcomes[status] += 1
            self._on_done(job, status)

    def _halt(self, cause: Cause, reason: str, hint: str = "") -> None:
        with self._lock:
            if self.tally.stopped is None:
                self.tally.cause, self.tally.stopped, self.tally.hint = cause, reason, hint
        self._halted.set()
