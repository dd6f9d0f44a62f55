"""How fast letters leave, from what was counted now and then."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

#: Seconds over which the pace is told.
SHORT, LONG = 10.0, 60.0
#: A pace is that of its seconds: what was counted much earlier says nothing about them.
_STRETCH = 1.5
#: Two counts that are closer together than this tell a pace by chance alone.
_CLOSEST = 0.5


class Pulse:
    """Counts of what was sent, each with its moment in seconds of one clock, the newest last."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()

    def begin(self, at: float, sent: int, ages: Sequence[float], *, is_all: bool) -> None:
        """The first count. `ages` are those of the letters sent last, in seconds, youngest first;
        `is_all` where those of the last `LONG` seconds are all among them.
        """
        known = LONG if is_all else ages[-1]
        reach = [each for each in (known, LONG, SHORT) if each <= known]
        older = {ago: sum(age <= ago for age in ages) for ago in reach}
        self._counts = deque((at - ago, sent - older[ago]) for ago in sorted(older, reverse=True))
        self.add(at, sent)

    def knows(self, at: float) -> bool:
        """Whether the pace could be told with a count at this moment."""
        return bool(self._counts) and self._counts[-1][0] > at - SHORT

    def add(self, at: float, sent: int) -> None:
        self._counts.append((at, sent))
        while len(self._counts) > 2 and self._counts[1][0] <= at - LONG:
            self._counts.popleft()

    def per_second(self, seconds: float) -> float | None:
        """Letters a second within the last `seconds`; None where that cannot be said yet."""
        base = self._base(seconds)
        return None if base is None else self._since(base)

    @property
    def steady(self) -> float | None:
        """Letters a second of the last minute since any left: what a forecast may build on."""
        base = self._base(LONG)
        if base is None:
            return None
        still = [each for each in self._counts if each[0] >= base[0] and each[1] == base[1]]
        pace = self._since(still[-1])
        # Too short to tell: a bit of the standstill makes it no worse than it is.
        return self._since(base) if pace is None else pace

    def _base(self, seconds: float) -> tuple[float, int] | None:
        if not self._counts:
            return None
        at = self._counts[-1][0]
        reach = [each for each in self._counts if each[0] <= at - seconds]
        base = reach[-1] if reach and reach[-1][0] >= at - seconds * _STRETCH else None
        if base is None:
            base = next((each for each in self._counts if each[0] > at - seconds), None)
        return None if base is None or at - base[0] < _CLOSEST else base

    def _since(self, base: tuple[float, int]) -> float | None:
        at, sent = self._counts[-1]
        if at - base[0] < _CLOSEST:
            return None
        return max(0.0, (sent - base[1]) / (at - base[0]))
