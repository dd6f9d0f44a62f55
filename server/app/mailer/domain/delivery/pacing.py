"""How fast, and how many: the arithmetic of limits, without a clock of its own.

All times are seconds of one clock, whichever. `limiter_redis.lua` does the same sums in Redis;
`tests/contract/test_rate_limiter.py` holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, inf

#: After "too fast" the pace is halved, down to this share of what was allowed.
SLOWEST_SHARE = 1 / 16
#: And recovers by this factor with each minute that passes without a complaint.
RECOVERY_PER_MINUTE = 1.2
#: Minutes after which even the slowest pace is whole again; a longer power would overflow.
FULLY_RECOVERED = 60.0
#: By so much places lie further apart than the limit asks.
STRETCH = 1.015
#: Seconds by which a place may be taken late without the next ones coming later, too.
GRACE = 0.2
#: Seconds after its turn at which a letter has reached the server.
LATEST = 5.0


@dataclass(slots=True)
class Pace:
    """One key's pace: the generic cell rate algorithm (GCRA, ITU-T I.371).

    n letters a minute have places 60·1.015/n seconds apart, and who comes up to 0.2 s late does
    not delay those behind. Any 60 seconds then hold at most n places, and at most n letters at
    the server as long as some are not more than 0.7 s longer on their way than others: n places
    span (n - 1) intervals, the next one is outside the minute by 60·0.015 = 0.9 s, whatever n is,
    and the grace may eat 0.2 s of that. What is used of the limit is 98.5 %, less what comes later
    than the grace makes good. (A limit that is no whole number is kept in the long run; a minute
    may hold the next whole number.)

    `allowed` is letters a minute, or None where there is no limit: then the pace that was too fast
    counts, until the key has recovered from the complaint.
    """

    next: float = -inf
    share_then: float = 1.0
    slowed_at: float = 0.0
    #: Letters a minute that the server complained about.
    reached: float = 0.0

    def wait(self, allowed: float | None, now: float) -> float:
        """How many seconds from `now` until the next place (0: at once)."""
        return 0.0 if self.base(allowed, now) is None else max(0.0, self.next - now)

    def take(self, allowed: float | None, at: float) -> None:
        """Use a place at a time which is not before the next one."""
        if (base := self.base(allowed, at)) is not None:
            self.next = max(self.next, at - GRACE) + STRETCH * 60.0 / (base * self.share(at))

    def slow_down(self, per_minute: float, now: float) -> None:
        """The server said that this was too fast: half the pace from now on, recovering slowly."""
        if self.share(now) >= 1.0:
            self.reached = per_minute
        self.share_then = max(SLOWEST_SHARE, self.share(now) / 2)
        self.slowed_at = now
        self.next = max(self.next, now + STRETCH * 60.0 / (per_minute * self.share_then))

    def share(self, now: float) -> float:
        """Which part of the allowed pace is used now, 1 when the server never complained."""
        if self.share_then >= 1.0:
            return 1.0
        minutes = min(max(0.0, now - self.slowed_at) / 60.0, FULLY_RECOVERED)
        return min(1.0, self.share_then * float(RECOVERY_PER_MINUTE**minutes))

    def base(self, allowed: float | None, now: float) -> float | None:
        """The pace of which the share is used, in letters a minute; None: there is none."""
        if allowed is None and self.share(now) < 1.0:
            return self.reached
        return allowed


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a budget is for, in `buckets` of `seconds` each."""

    seconds: int
    buckets: int


HOUR = Span(60, 60)
DAY = Span(15 * 60, 96)


@dataclass(slots=True)
class Budget:
    """What one key has used of a budget: of those seconds that end now, at any moment.

    Letters are counted in buckets, each of which is forgotten as a whole when even its youngest
    letter is older than the span; one that is not at the server at once is counted up to
    `LATEST` seconds later. So it is never more than the budget, and a place comes back up to a
    bucket later than it might.
    """

    span: Span
    used: int = 0
    counts: dict[int, int] = field(default_factory=dict)
    oldest: float = -inf

    def forget(self, now: float) -> None:
        """Leave out what is older than the span."""
        oldest = floor(now / self.span.seconds) - self.span.buckets
        if oldest > self.oldest:
            for bucket in [each for each in self.counts if each < oldest]:
                self.used -= self.counts.pop(bucket)
            self.oldest = oldest

    def wait(self, budget: int, now: float) -> float:
        """How many seconds from `now` until a place is free (0: now; infinite: never)."""
        self.forget(now)
        left = self.used
        if left < budget:
            return 0.0
        for bucket in sorted(self.counts):
            left -= self.counts[bucket]
            if left < budget:
                return (bucket + self.span.buckets + 1) * self.span.seconds - now
        return inf

    def take(self, at: float) -> None:
        """Use a place at a time."""
        self._add(floor((at + LATEST) / self.span.seconds), 1)

    def seed(self, now: float, sent: list[tuple[float, int]]) -> None:
        """What was sent before anybody counted: pairs of seconds ago and how many."""
        self.forget(now)
        for ago, count in sent:
            bucket = floor((now - max(0.0, ago)) / self.span.seconds)
            if bucket >= self.oldest:
                self._add(bucket, count)

    def _add(self, bucket: int, count: int) -> None:
        self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.used += count
