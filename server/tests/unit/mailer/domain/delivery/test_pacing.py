from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.delivery.pacing import SLOWEST_SHARE, Pace


def _sends(pace: Pace, gaps: list[float]) -> list[float]:
    now, sends = 0.0, []
    for gap in gaps:
        now += gap
        sends.append(now + pace.reserve(now))
    return sends


@given(
    per_minute=st.floats(0.5, 6_000),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 90), min_size=1, max_size=150),
)
def test_no_minute_holds_more_than_the_rate_and_the_burst(
    per_minute: float, burst: int, gaps: list[float]
) -> None:
    sends = _sends(Pace(per_minute, burst), gaps)
    assert sends == sorted(sends)
    for first, at in enumerate(sends):
        within = sum(1 for other in sends[first:] if other < at + 60.0 - 1e-6)
        assert within <= per_minute + burst + 1e-6


@given(gaps=st.lists(st.floats(0, 90), min_size=1, max_size=50))
def test_nobody_waits_longer_than_for_those_before(gaps: list[float]) -> None:
    pace, now = Pace(60.0), 0.0
    for number, gap in enumerate(gaps):
        now += gap
        assert 0 <= pace.reserve(now) <= number + 1e-6


def test_places_are_spread_evenly_after_the_burst() -> None:
    pace = Pace(60.0, burst=3)
    assert [pace.reserve(100.0) for _ in range(5)] == pytest.approx([0, 0, 0, 1, 2])


def test_a_complaint_halves_the_pace_down_to_a_floor() -> None:
    pace = Pace(60.0)
    pace.slow_down(0.0)
    assert pace.share(0.0) == 0.5
    assert [pace.reserve(0.0) for _ in range(2)] == pytest.approx([2.0, 4.0])
    for _ in range(10):
        pace.slow_down(0.0)
    assert pace.share(0.0) == SLOWEST_SHARE


def test_it_recovers_slowly_and_never_beyond_what_was_allowed() -> None:
    pace = Pace(60.0)
    pace.slow_down(0.0)
    assert pace.share(60.0) == pytest.approx(0.6)
    assert pace.share(180.0) == pytest.approx(0.864)
    assert pace.share(600.0) == 1.0


def test_a_complaint_of_last_month_does_no_harm() -> None:
    pace = Pace(60.0)
    pace.slow_down(0.0)
    assert pace.share(1e9) == 1.0
    assert pace.reserve(1e9) == 0.0


@given(times=st.lists(st.floats(0, 1e7), min_size=1, max_size=30).map(sorted))
def test_the_share_stays_within_its_bounds(times: list[float]) -> None:
    pace = Pace(60.0)
    for at in times:
        pace.slow_down(at)
        assert SLOWEST_SHARE <= pace.share(at) <= 0.5
        assert pace.share(at) <= pace.share(at + 30)
