"""The engine: any number of connections that claim, pace, transmit, commit and record (`line`)."""

from __future__ import annotations

import threading

from sqlalchemy.orm import Session, sessionmaker

from app.mailer.domain.mime.frame import Base64Cache
from app.mailer.ports import BlobStore, Clock, Journal, RateLimiter
from app.mailer.services.lane import Gear, Lane, OnDone, Tally
from app.mailer.services.line import Line
from app.mailer.services.run import Run


class Engine:
    """Sends what is due. One instance serves any number of lanes and threads."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        *,
        blobs: BlobStore,
        limiter: RateLimiter,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._gear = Gear(sessions, blobs, limiter, journal, clock, Base64Cache())

    def run(
        self, lane: Lane, *, stop: threading.Event, limit: int | None, on_done: OnDone
    ) -> Tally:
        """Send what is due now, `limit` messages at most, until nothing is left or `stop` is set.

        `stop` lets each message in hand be finished and gives the others back. `on_done` hears of
        each message that was tried, from the sending threads, one at a time.
        """
        run = Run(self._gear, lane, stop, limit, on_done)

        def work() -> None:
            with run.guard():
                Line(run).work()

        threads = [
            threading.Thread(target=work, name=f"send-{number}", daemon=True)
            for number in range(lane.concurrency)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            # In slices, so that the main thread still hears signals meanwhile.
            while thread.is_alive():
                thread.join(0.2)
        return run.tally
