"""For development: limits go on in this process while Redis is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from app.mailer.ports import Allowance, LimiterAway, RateLimiter, Standing

#: Seconds for which Redis is not asked again after it did not answer.
RETRY_AFTER = 5.0
#: Seconds between two warnings.
WARN_EVERY = 60.0

T = TypeVar("T")


class FallbackLimiter:
    """Implements `ports.RateLimiter` by `shared`, and by `own` while that one is away.

    `warn` hears why, at most once a minute. What several processes send together
    may then be more than is allowed.
    """

    def __init__(
        self,
        shared: RateLimiter,
        own: RateLimiter,
        warn: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._own = own
        self._warn = warn
        self._monotonic = monotonic
        self._ask_from = self._warn_from = monotonic()

    def reserve(self, allowances: Sequence[Allowance], patience: float) -> float:
        return self._ask(lambda limiter: limiter.reserve(allowances, patience))

    def slow_down(self, key: str, per_minute: float) -> None:
        # Both: a server does not complain less because Redis went or came back.
        self._own.slow_down(key, per_minute)
        self._tell(lambda limiter: limiter.slow_down(key, per_minute))

    def slowed(self, key: str) -> float | None:
        return self._ask(lambda limiter: limiter.slowed(key))

    def enter(self, key: str, owner: str, wanted: int, at_most: int) -> int:
        return self._ask(lambda limiter: limiter.enter(key, owner, wanted, at_most))

    def leave(self, key: str, owner: str) -> None:
        self._own.leave(key, owner)
        self._tell(lambda limiter: limiter.leave(key, owner))

    def standing(self, allowances: Sequence[Allowance]) -> Sequence[Standing]:
        return self._ask(lambda limiter: limiter.standing(allowances))

    def _ask(self, question: Callable[[RateLimiter], T]) -> T:
        if self._monotonic() >= self._ask_from:
            try:
                return question(self._shared)
            except LimiterAway as away:
                self._is_away(away)
        return question(self._own)

    def _tell(self, message: Callable[[RateLimiter], None]) -> None:
        if self._monotonic() >= self._ask_from:
            try:
                message(self._shared)
            except LimiterAway as away:
                self._is_away(away)

    def _is_away(self, away: LimiterAway) -> None:
        now = self._monotonic()
        self._ask_from = now + RETRY_AFTER
        if now >= self._warn_from:
            self._warn_from = now + WARN_EVERY
            self._warn(f"{away} Until it does, limits hold for this process alone.")
