"""The engine: any number of connections that claim, pace, transmit, commit and record (`line`)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from app.mailer.ports import StopSign
from app.mailer.services.lane import Gear, Lane, OnDone, Tally
from app.mailer.services.line import Line
from app.mailer.services.run import Run


class Engine:
    """Sends what is due. One instance serves any number of lanes and threads."""

    def __init__(self, gear: Gear) -> None:
        self._gear = gear

    def run(
        self,
        lane: Lane,
        *,
        stop: StopSign,
        on_done: OnDone,
        limit: int | None = None,
        connections: int | None = None,
        seconds: float | None = None,
        on_tick: Callable[[], None] = lambda: None,
    ) -> Tally:
        """Send what is due now, until nothing is left or `stop` is set.

        At most `limit` messages over `connections` (as many as the lane has) in `seconds`. `stop`
        lets each message in hand be finished and gives the others back. `on_done` hears of each
        message that was tried, from the sending threads, one at a time; `on_tick` is called
        several times a second.
        """
        run = Run(self._gear, lane, stop, limit, seconds, on_done)

        def work() -> None:
            with run.guard():
                Line(run).work()

        threads = [
            threading.Thread(target=work, name=f"send-{number}", daemon=True)
            for number in range(connections or lane.concurrency)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            # In slices, so that the main thread still hears signals meanwhile.
            while thread.is_alive():
                thread.join(0.2)
                on_tick()
        return run.tally
