"""The rate limiter of one process: every thread of it shares one pace for each key."""

from __future__ import annotations

import threading

from app.mailer.domain.delivery.pacing import Pace
from app.mailer.ports import Clock


class MemoryLimiter:
    """Implements `ports.RateLimiter` in this process alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paces: dict[str, Pace] = {}
        self._lock = threading.Lock()

    def reserve(self, key: str, per_minute: float | None) -> float:
        if per_minute is None:
            return 0.0
        with self._lock:
            pace = self._paces.setdefault(key, Pace(per_minute))
            pace.per_minute = per_minute
            return pace.reserve(self._clock.monotonic())

    def slow_down(self, key: str, per_minute: float) -> None:
        with self._lock:
            self._paces.setdefault(key, Pace(per_minute)).slow_down(self._clock.monotonic())
