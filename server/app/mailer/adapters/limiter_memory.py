"""The rate limiter of one process: every thread of it shares one pace for each key."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf

from app.mailer.domain.delivery.pacing import DAY, HOUR, Budget, Pace, Span
from app.mailer.ports import HOLD_SECONDS, Allowance, Clock, Standing


@dataclass(slots=True)
class _Key:
    pace: Pace = field(default_factory=Pace)
    #: Absent: nothing is known of the past.
    budgets: dict[Span, Budget] = field(default_factory=dict)
    #: How many connections each owner has, and until when.
    connections: dict[str, tuple[int, float]] = field(default_factory=dict)


class MemoryLimiter:
    """Implements `ports.RateLimiter` in this process alone."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: dict[str, _Key] = {}
        self._lock = threading.Lock()

    def reserve(self, allowances: Sequence[Allowance], patience: float) -> float:
        while True:
            with self._lock:
                if not (unknown := self._strangers(allowances)):
                    self._forget_others(allowances)
                    return self._reserve(allowances, patience)
            self._seed(unknown)

    def slow_down(self, key: str, per_minute: float) -> None:
        with self._lock:
            self._key(key).pace.slow_down(per_minute, self._clock.monotonic())

    def slowed(self, key: str) -> float | None:
        with self._lock:
            pace, now = self._key(key).pace, self._clock.monotonic()
            share = pace.share(now)
            return pace.reached * share if share < 1.0 else None

    def enter(self, key: str, owner: str, wanted: int, at_most: int) -> int:
        with self._lock:
            now = self._clock.monotonic()
            owners = self._living(key, now)
            owners.pop(owner, None)
            granted = max(0, min(wanted, at_most - sum(count for count, _ in owners.values())))
            if granted:
                owners[owner] = granted, now + HOLD_SECONDS
            return granted

    def leave(self, key: str, owner: str) -> None:
        with self._lock:
            self._key(key).connections.pop(owner, None)

    def standing(self, allowances: Sequence[Allowance]) -> Sequence[Standing]:
        while True:
            with self._lock:
                if not (unknown := self._strangers(allowances)):
                    now = self._clock.monotonic()
                    return [self._standing(each, now) for each in allowances]
            self._seed(unknown)

    def _reserve(self, allowances: Sequence[Allowance], patience: float) -> float:
        now = self._clock.monotonic()
        wait = max((self._wait(each, now) for each in allowances), default=0.0)
        if wait <= patience and wait < inf:
            at = now + wait
            for each in allowances:
                key = self._key(each.key)
                key.pace.take(each.per_minute, at)
                for budget, _limit in self._budgets(each):
                    budget.take(at)
        return wait

    def _wait(self, allowance: Allowance, now: float) -> float:
        waits = [budget.wait(limit, now) for budget, limit in self._budgets(allowance)]
        return max(self._key(allowance.key).pace.wait(allowance.per_minute, now), *waits, 0.0)

    def _standing(self, allowance: Allowance, now: float) -> Standing:
        key = self._key(allowance.key)
        share, base = key.pace.share(now), key.pace.base(allowance.per_minute, now)
        wait = self._wait(allowance, now)
        used = {budget.span: budget.used for budget, _limit in self._budgets(allowance)}
        return Standing(
            allowance.key,
            None if base is None else base * share,
            share,
            wait,
            used.get(HOUR),
            used.get(DAY),
            sum(count for count, _ in self._living(allowance.key, now).values()),
        )

    def _key(self, key: str) -> _Key:
        return self._keys.setdefault(key, _Key())

    def _living(self, key: str, now: float) -> dict[str, tuple[int, float]]:
        owners = self._key(key).connections
        for owner in [name for name, (_, until) in owners.items() if until < now]:
            del owners[owner]
        return owners

    def _budgets(self, allowance: Allowance) -> Iterator[tuple[Budget, int]]:
        known = self._key(allowance.key).budgets
        for span, limit in _limits(allowance):
            yield known[span], limit

    def _strangers(self, allowances: Sequence[Allowance]) -> list[Allowance]:
        """Those with a budget of whose past nothing is known."""
        return [
            each
            for each in allowances
            if any(span not in self._key(each.key).budgets for span, _limit in _limits(each))
        ]

    def _forget_others(self, allowances: Sequence[Allowance]) -> None:
        """What is sent while a budget is not asked for is not counted: it has to be asked again."""
        asked = {(each.key, span) for each in allowances for span, _limit in _limits(each)}
        for each in allowances:
            known = self._key(each.key).budgets
            for span in [span for span in known if (each.key, span) not in asked]:
                del known[span]

    def _seed(self, strangers: Sequence[Allowance]) -> None:
        """Ask for what was sent; not under the lock, for that may take long."""
        for each in strangers:
            sent = [(ago, count) for ago, count in each.sent_before() if count > 0]
            with self._lock:
                known, now = self._key(each.key).budgets, self._clock.monotonic()
                for span, _limit in _limits(each):
                    if span not in known:
                        known[span] = Budget(span)
                        known[span].seed(now, sent)


def _limits(allowance: Allowance) -> Iterator[tuple[Span, int]]:
    if allowance.per_hour is not None:
        yield HOUR, allowance.per_hour
    if allowance.per_day is not None:
        yield DAY, allowance.per_day
