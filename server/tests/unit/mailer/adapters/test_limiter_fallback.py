from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.mailer.adapters.clock import SystemClock
from app.mailer.adapters.limiter_fallback import RETRY_AFTER, WARN_EVERY, FallbackLimiter
from app.mailer.adapters.limiter_memory import MemoryLimiter
from app.mailer.ports import Allowance, LimiterAway, Standing

SLOW = [Allowance("a", 1.0)]


class Shared(MemoryLimiter):
    """May be away."""

    is_away = False
    asked = 0

    def _hear(self) -> None:
        self.asked += 1
        if self.is_away:
            raise LimiterAway("Redis at here:1 does not answer: no.")

    def reserve(self, allowances: Sequence[Allowance], patience: float) -> float:
        self._hear()
        return super().reserve(allowances, patience)

    def slow_down(self, key: str, per_minute: float) -> None:
        self._hear()
        super().slow_down(key, per_minute)

    def slowed(self, key: str) -> float | None:
        self._hear()
        return super().slowed(key)

    def enter(self, key: str, owner: str, wanted: int, at_most: int) -> int:
        self._hear()
        return super().enter(key, owner, wanted, at_most)

    def leave(self, key: str, owner: str) -> None:
        self._hear()
        super().leave(key, owner)

    def standing(self, allowances: Sequence[Allowance]) -> Sequence[Standing]:
        self._hear()
        return super().standing(allowances)


class Rig:
    def __init__(self) -> None:
        self.now = 100.0
        self.warnings: list[str] = []
        self.shared = Shared(SystemClock())
        self.own = MemoryLimiter(SystemClock())
        self.limiter = FallbackLimiter(
            self.shared, self.own, self.warnings.append, lambda: self.now
        )


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_while_it_is_there_all_limits_are_in_the_shared_one(rig: Rig) -> None:
    assert rig.limiter.reserve(SLOW, 0.0) == 0.0
    assert rig.shared.reserve(SLOW, 0.0) > 50
    assert rig.own.reserve(SLOW, 0.0) == 0.0
    assert rig.limiter.enter("a", "x", 2, 2) == 2
    assert rig.shared.enter("a", "y", 2, 2) == 0
    rig.limiter.leave("a", "x")
    (standing,) = rig.limiter.standing(SLOW)
    assert standing.wait > 50
    assert rig.warnings == []


def test_while_it_is_away_limits_hold_in_this_process(rig: Rig) -> None:
    rig.shared.is_away = True
    assert rig.limiter.reserve(SLOW, 0.0) == 0.0
    assert rig.limiter.reserve(SLOW, 0.0) > 50
    assert rig.limiter.enter("a", "x", 2, 2) == 2
    assert rig.limiter.enter("a", "y", 2, 2) == 0
    rig.limiter.leave("a", "x")
    assert rig.limiter.enter("a", "y", 2, 2) == 2
    (standing,) = rig.limiter.standing(SLOW)
    assert standing.connections == 2


def test_it_is_not_asked_for_each_letter_and_found_again_soon(rig: Rig) -> None:
    rig.shared.is_away = True
    for _ in range(5):
        rig.limiter.slowed("a")
    assert rig.shared.asked == 1
    rig.shared.is_away = False
    rig.now += RETRY_AFTER
    rig.limiter.reserve(SLOW, 0.0)
    assert rig.shared.reserve(SLOW, 0.0) > 50


def test_a_complaint_is_known_to_both(rig: Rig) -> None:
    rig.limiter.slow_down("a", 60.0)
    rig.shared.is_away = True
    assert rig.limiter.slowed("a") == pytest.approx(30, rel=0.01)
    rig.limiter.slow_down("b", 60.0)
    rig.now += RETRY_AFTER
    rig.limiter.slow_down("c", 60.0)
    assert rig.limiter.slowed("c") == pytest.approx(30, rel=0.01)


def test_it_warns_once_a_minute_and_says_why(rig: Rig) -> None:
    rig.shared.is_away = True
    for _ in range(int(WARN_EVERY / RETRY_AFTER) + 1):
        rig.limiter.slowed("a")
        rig.now += RETRY_AFTER
    assert len(rig.warnings) == 2
    assert rig.warnings[0] == (
        "Redis at here:1 does not answer: no. Until it does, limits hold for this process alone."
    )
