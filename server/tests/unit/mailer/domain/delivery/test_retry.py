from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.delivery.retry import LONGEST_WAIT, RetryPolicy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("tries", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8)])
def test_each_wait_is_twice_the_one_before(tries: int, minutes: int) -> None:
    assert RetryPolicy().next_due(tries, NOW, NOW) == NOW + timedelta(minutes=minutes)


def test_after_the_last_try_it_ends() -> None:
    assert RetryPolicy(max_attempts=5).next_due(5, NOW, NOW) is None
    assert RetryPolicy(max_attempts=1).next_due(1, NOW, NOW) is None


def test_no_try_is_due_after_the_age() -> None:
    policy = RetryPolicy(max_age=timedelta(hours=1))
    assert policy.next_due(1, NOW, NOW + timedelta(minutes=59)) == NOW + timedelta(hours=1)
    assert policy.next_due(1, NOW, NOW + timedelta(minutes=59, seconds=1)) is None


def test_no_wait_is_longer_than_the_longest() -> None:
    policy = RetryPolicy(max_attempts=100, max_age=timedelta(days=365))
    assert policy.next_due(99, NOW, NOW) == NOW + LONGEST_WAIT


@given(
    tries=st.integers(1, 100),
    backoff=st.floats(0.001, 86_400),
    age=st.floats(0.001, 8_760),
    since=st.floats(0, 10_000),
)
def test_whatever_a_campaign_may_say(tries: int, backoff: float, age: float, since: float) -> None:
    policy = RetryPolicy(100, timedelta(seconds=backoff), timedelta(hours=age))
    now = NOW + timedelta(hours=since)
    due = policy.next_due(tries, NOW, now)
    if due is not None:
        assert now <= due <= NOW + timedelta(hours=age)
        assert due - now <= LONGEST_WAIT
        later = policy.next_due(tries + 1, NOW, now)
        assert later is None or later >= due
