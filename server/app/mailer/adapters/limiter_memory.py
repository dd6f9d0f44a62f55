"""The rate limiter of one process: every thread of it shares one pace for each key."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from app.mailer.domain.delivery.pacing import Pace
from app.mailer.domain.mail_account import MINUTES_PER_DAY, MINUTES_PER_HOUR, slowest
from app.mailer.ports import HOLD_SECONDS, Allowance, Clock, Standing


class MemoryLimiter:
    """Implements `ports.RateLimiter` in this process alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paces: dict[str, Pace] = {}
        #: For each key, how many connections each owner has, and until when.
        self._connections: dict[str, dict[str, tuple[int, float]]] = {}
        self._lock = threading.Lock()

    def reserve(self, allowances: Sequence[Allowance], patience: float) -> float:
        now = self._clock.monotonic()
        with self._lock:
            paces = [pace for each in allowances if (pace := self._pace(each)) is not None]
            wait = max((pace.wait(now) for pace in paces), default=0.0)
            if wait <= patience:
                for pace in paces:
                    pace.take(now, wait)
            return wait

    def slow_down(self, key: str, per_minute: float) -> None:
        with self._lock:
            self._paces.setdefault(key, Pace(per_minute)).slow_down(self._clock.monotonic())

    def slowed(self, key: str) -> float | None:
        with self._lock:
            pace, now = self._paces.get(key), self._clock.monotonic()
            if pace is None or pace.share(now) >= 1.0:
                return None
            return pace.per_minute * pace.share(now)

    def enter(self, key: str, owner: str, wanted: int, at_most: int) -> int:
        now = self._clock.monotonic()
        with self._lock:
            owners = self._living(key, now)
            owners.pop(owner, None)
            granted = max(0, min(wanted, at_most - sum(count for count, _ in owners.values())))
            if granted:
                owners[owner] = granted, now + HOLD_SECONDS
            return granted

    def leave(self, key: str, owner: str) -> None:
        with self._lock:
            self._connections.get(key, {}).pop(owner, None)

    def standing(self, allowances: Sequence[Allowance]) -> Sequence[Standing]:
        now = self._clock.monotonic()
        found = []
        with self._lock:
            for each in allowances:
                pace = self._pace(each)
                share = pace.share(now) if pace else 1.0
                found.append(
                    Standing(
                        each.key,
                        pace.per_minute * share if pace else None,
                        share,
                        pace.wait(now) if pace else 0.0,
                        None,
                        None,
                        sum(count for count, _ in self._living(each.key, now).values()),
                    )
                )
        return found

    def _living(self, key: str, now: float) -> dict[str, tuple[int, float]]:
        owners = self._connections.setdefault(key, {})
        for owner in [name for name, (_, until) in owners.items() if until < now]:
            del owners[owner]
        return owners

    def _pace(self, allowance: Allowance) -> Pace | None:
        """The key's pace, where it has one or was given one by a complaint."""
        per_minute = slowest(
            allowance.per_minute,
            None if allowance.per_hour is None else allowance.per_hour / MINUTES_PER_HOUR,
            None if allowance.per_day is None else allowance.per_day / MINUTES_PER_DAY,
        )
        if per_minute is None:
            return self._paces.get(allowance.key)
        pace = self._paces.setdefault(allowance.key, Pace(per_minute))
        pace.per_minute = per_minute
        return pace
