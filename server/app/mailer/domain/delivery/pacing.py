"""Pacing by the generic cell rate algorithm (GCRA, ITU-T I.371), without a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass

#: After "too fast" the pace is halved, down to this share of what was allowed.
SLOWEST_SHARE = 1 / 16
#: And recovers by this factor with each minute that passes without a complaint.
RECOVERY_PER_MINUTE = 1.2
#: Minutes after which even the slowest pace is whole again; a longer power would overflow.
_FULLY_RECOVERED = 60.0


@dataclass(slots=True)
class Pace:
    """One key's pace. All times in seconds of one monotonic clock.

    `per_minute` sends are spread evenly, after a burst of at most `burst` places.
    """

    per_minute: float
    burst: int = 1
    _next: float = 0.0
    _share: float = 1.0
    _slowed_at: float = 0.0

    def reserve(self, now: float) -> float:
        """Take the next place; how many seconds from `now` until it may be used (0: at once)."""
        wait = self.wait(now)
        self.take(now, wait)
        return wait

    def wait(self, now: float) -> float:
        """How many seconds from `now` until the next place (0: at once)."""
        tolerance = (self.burst - 1) * self._interval(now)
        return max(0.0, self._next - tolerance - now)

    def take(self, now: float, wait: float) -> None:
        """Use the place `wait` seconds from `now`, which is not before the next one."""
        self._next = max(self._next, now + wait) + self._interval(now)

    def _interval(self, now: float) -> float:
        return 60.0 / (self.per_minute * self.share(now))

    def slow_down(self, now: float) -> None:
        """The server said that this was too fast: half the pace from now on, recovering slowly."""
        self._share = max(SLOWEST_SHARE, self.share(now) / 2)
        self._slowed_at = now
        self._next = max(self._next, now + 60.0 / (self.per_minute * self._share))

    def share(self, now: float) -> float:
        """Which part of the allowed pace is used now, 1 when the server never complained."""
        if self._share >= 1.0:
            return 1.0
        minutes = min((now - self._slowed_at) / 60.0, _FULLY_RECOVERED)
        return min(1.0, self._share * float(RECOVERY_PER_MINUTE**minutes))
