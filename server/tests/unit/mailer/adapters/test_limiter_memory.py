from __future__ import annotations

import threading
from datetime import UTC, datetime
from math import inf

import pytest

from app.mailer.adapters.limiter_memory import MemoryLimiter
from app.mailer.ports import Allowance


class StillClock:
    at = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_without_a_rate_nobody_waits() -> None:
    limiter = MemoryLimiter(StillClock())
    assert [limiter.reserve([Allowance("a", None)], inf) for _ in range(100)] == [0.0] * 100


def test_keys_do_not_share_a_pace_and_callers_of_one_do() -> None:
    limiter = MemoryLimiter(StillClock())
    assert [limiter.reserve([Allowance("a", 60.0)], inf) for _ in range(3)] == pytest.approx(
        [0, 1, 2]
    )
    assert limiter.reserve([Allowance("b", 60.0)], inf) == 0.0


def test_another_rate_holds_from_the_next_place_on() -> None:
    limiter = MemoryLimiter(StillClock())
    limiter.reserve([Allowance("a", 60.0)], inf)
    assert limiter.reserve([Allowance("a", 6.0)], inf) == pytest.approx(1.0)
    assert limiter.reserve([Allowance("a", 6.0)], inf) == pytest.approx(11.0)


def test_a_complaint_slows_its_own_key_down() -> None:
    limiter = MemoryLimiter(StillClock())
    for key in ("a", "b"):
        limiter.reserve([Allowance(key, 60.0)], inf)
    limiter.slow_down("a", 60.0)
    assert [limiter.reserve([Allowance("a", 60.0)], inf) for _ in range(2)] == pytest.approx(
        [2.0, 4.0]
    )
    assert [limiter.reserve([Allowance("b", 60.0)], inf) for _ in range(2)] == pytest.approx(
        [1.0, 2.0]
    )


def test_a_complaint_gives_a_pace_to_what_had_none() -> None:
    limiter = MemoryLimiter(StillClock())
    limiter.slow_down("a", 60.0)
    assert [limiter.reserve([Allowance("a", 60.0)], inf) for _ in range(2)] == pytest.approx(
        [2.0, 4.0]
    )


def test_threads_never_get_the_same_place() -> None:
    limiter = MemoryLimiter(StillClock())
    waits: list[float] = []

    def take() -> None:
        waits.extend([limiter.reserve([Allowance("a", 60.0)], inf) for _ in range(50)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx(list(range(200)))
