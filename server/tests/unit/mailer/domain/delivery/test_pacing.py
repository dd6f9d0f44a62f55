from __future__ import annotations

from itertools import pairwise
from math import ceil, inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.delivery.pacing import (
    DAY,
    GRACE,
    HOUR,
    LATEST,
    SLOWEST_SHARE,
    STRETCH,
    Budget,
    Pace,
    Span,
)

MINUTE = 60.0


def most_within(times: list[float], seconds: float) -> int:
    """The most of sorted times that any window of so many seconds (its end left out) holds."""
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def places(pace: Pace, allowed: float, gaps: list[float]) -> list[float]:
    now, found = 0.0, []
    for gap in gaps:
        now += gap
        found.append(now + pace.wait(allowed, now))
        pace.take(allowed, found[-1])
    return found


# -- pace


@given(
    allowed=st.one_of(st.integers(1, 6_000), st.floats(0.5, 6_000)),
    gaps=st.lists(st.one_of(st.floats(0, 0.5), st.floats(0, 90)), min_size=1, max_size=300),
)
def test_no_minute_holds_more_than_is_allowed(allowed: float, gaps: list[float]) -> None:
    assert most_within(sorted(places(Pace(), allowed, gaps)), MINUTE) <= ceil(allowed)


@pytest.mark.parametrize("allowed", [5, 600])
@given(delays=st.lists(st.floats(0, 0.69), min_size=1, max_size=20))
def test_nor_does_it_at_the_server_however_long_each_letter_takes(
    allowed: int, delays: list[float]
) -> None:
    found = places(Pace(), allowed, [0.0] * round(allowed * 2.2))
    arrivals = sorted(at + delays[number % len(delays)] for number, at in enumerate(found))
    assert most_within(arrivals, MINUTE) <= allowed


def test_nor_does_it_at_a_very_high_pace() -> None:
    found = places(Pace(), 30_000, [0.0] * 66_000)
    by_chance = Random(1)
    arrivals = sorted(at + by_chance.uniform(0, 0.69) for at in found)
    assert most_within(arrivals, MINUTE) <= 30_000


@pytest.mark.parametrize("allowed", [5, 600, 30_000])
def test_who_comes_late_within_the_grace_costs_nothing(allowed: int) -> None:
    pace, now = Pace(), 0.0
    for number in range(allowed * 3):
        now += pace.wait(allowed, now)
        pace.take(allowed, now)
        # One after the other, with something to do in between, less than the interval in the mean.
        now += min(GRACE, MINUTE / allowed * 0.9) * (1.0 if number % 2 else 0.5)
    assert now <= 3 * MINUTE * STRETCH + 1.0
    assert STRETCH < 1 / 0.97


def test_places_are_spread_evenly() -> None:
    found = places(Pace(), 60, [100.0, *[0.0] * 5])
    assert found[1] == pytest.approx(found[0] + STRETCH - GRACE)
    assert [b - a for a, b in pairwise(found[1:])] == pytest.approx([STRETCH] * 4)


def test_a_complaint_halves_the_pace_down_to_a_floor() -> None:
    pace = Pace()
    pace.slow_down(60.0, 0.0)
    assert pace.share(0.0) == 0.5
    assert pace.wait(60.0, 0.0) == pytest.approx(2 * STRETCH)
    for _ in range(10):
        pace.slow_down(60.0, 0.0)
    assert pace.share(0.0) == SLOWEST_SHARE


def test_it_recovers_slowly_and_never_beyond_what_was_allowed() -> None:
    pace = Pace()
    pace.slow_down(60.0, 0.0)
    assert pace.share(60.0) == pytest.approx(0.6)
    assert pace.share(180.0) == pytest.approx(0.864)
    assert pace.share(600.0) == 1.0


def test_what_had_no_limit_has_the_pace_that_was_too_fast_until_it_has_recovered() -> None:
    pace = Pace()
    assert pace.base(None, 0.0) is None
    pace.slow_down(80.0, 0.0)
    pace.slow_down(40.0, 1.0)  # what was reached since
    assert pace.base(None, 1.0) == 80.0
    assert pace.base(20.0, 1.0) == 20.0
    assert pace.share(1.0) == pytest.approx(0.25, rel=0.01)
    assert pace.base(None, 3600.0) is None
    assert pace.wait(None, 3600.0) == 0.0
    pace.slow_down(10.0, 7200.0)
    assert pace.base(None, 7200.0) == 10.0


def test_a_complaint_of_last_month_does_no_harm() -> None:
    pace = Pace()
    pace.slow_down(60.0, 0.0)
    assert pace.share(1e9) == 1.0
    assert pace.wait(60.0, 1e9) == 0.0


@given(times=st.lists(st.floats(0, 1e7), min_size=1, max_size=30).map(sorted))
def test_the_share_stays_within_its_bounds(times: list[float]) -> None:
    pace = Pace()
    for at in times:
        pace.slow_down(60.0, at)
        assert SLOWEST_SHARE <= pace.share(at) <= 0.5
        assert pace.share(at) <= pace.share(at + 30)


# -- budgets


def drain(budget: Budget, limit: int, gaps: list[float]) -> list[float]:
    now, found = 0.0, []
    for gap in gaps:
        now += gap
        found.append(now + budget.wait(limit, now))
        budget.take(found[-1])
    return found


@pytest.mark.parametrize("span", [HOUR, DAY])
@given(
    limit=st.integers(1, 12),
    gaps=st.lists(st.floats(0, 0.1), min_size=1, max_size=60),
    late=st.floats(0, LATEST),
)
def test_no_hour_and_no_day_holds_more_than_the_budget(
    span: Span, limit: int, gaps: list[float], late: float
) -> None:
    length = span.seconds * span.buckets
    found = sorted(drain(Budget(span), limit, [gap * length for gap in gaps]))
    arrivals = [at + (late if number % 2 else 0.0) for number, at in enumerate(found)]
    assert most_within(sorted(arrivals), length) <= limit


@pytest.mark.parametrize("span", [HOUR, DAY])
def test_a_place_comes_back_at_most_two_buckets_late(span: Span) -> None:
    length = span.seconds * span.buckets
    budget = Budget(span)
    found = drain(budget, 3, [100.0] + [0.0] * 8)
    assert found[:3] == [100.0] * 3
    for turn in (1, 2):
        later = found[3 * turn] - found[3 * turn - 1]
        assert length <= later <= length + 2 * span.seconds


def test_the_wait_is_until_the_next_bucket_is_forgotten() -> None:
    budget = Budget(HOUR)
    for at in (0.0, 600.0, 1200.0):
        budget.take(at)
    assert budget.wait(4, 1300.0) == 0.0
    assert budget.wait(3, 1300.0) == 61 * 60 - 1300.0
    assert budget.wait(2, 1300.0) == 71 * 60 - 1300.0  # the budget was lowered
    assert budget.wait(0, 1300.0) == inf
    budget.forget(3700.0)
    assert budget.used == 2


def test_what_was_sent_before_counts_as_long_as_it_is_within_the_span() -> None:
    hour, day = Budget(HOUR), Budget(DAY)
    for budget in (hour, day):
        budget.seed(100_000.0, [(-3.0, 1), (30.0, 5), (3700.0, 7), (90_000.0, 11)])
    assert (hour.used, day.used) == (6, 13)
    assert hour.wait(6, 100_000.0) == pytest.approx(3600, abs=120)
