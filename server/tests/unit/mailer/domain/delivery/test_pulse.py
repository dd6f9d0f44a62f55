"""The pace, from counts that were taken now and then."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.delivery.pulse import LONG, SHORT, Pulse


def test_one_count_tells_no_pace() -> None:
    pulse = Pulse()
    assert pulse.per_second(SHORT) is None
    pulse.add(100.0, 7)
    assert pulse.per_second(SHORT) is None
    pulse.add(100.1, 8)
    assert pulse.per_second(SHORT) is None, "by chance alone"
    pulse.add(102.0, 17)
    assert pulse.per_second(SHORT) == 5.0


def test_the_short_pace_forgets_what_the_long_one_remembers() -> None:
    pulse = Pulse()
    for second in range(61):
        pulse.add(float(second), 10 * min(second, 50))
    assert pulse.per_second(SHORT) == 0.0
    assert pulse.per_second(LONG) == pytest.approx(500 / 60)


def test_the_standstill_before_the_start_does_not_slow_down_the_forecast() -> None:
    pulse = Pulse()
    pulse.begin(1000.0, 0, [], is_all=True)
    for second in range(1, 11):
        pulse.add(1000.0 + second, 3 * second)
    assert pulse.per_second(LONG) == pytest.approx(30 / 60, rel=0.2)
    assert pulse.steady == pytest.approx(3.0)
    for second in range(11, 21):
        pulse.add(1000.0 + second, 30)
    assert pulse.steady == pytest.approx(1.5)


def test_counts_of_long_ago_tell_nothing() -> None:
    pulse = Pulse()
    pulse.add(0.0, 0)
    assert pulse.knows(5.0)
    assert not pulse.knows(20.0)
    pulse.add(3600.0, 36_000)
    assert pulse.per_second(SHORT) is None
    assert pulse.per_second(LONG) is None


def test_a_fresh_process_tells_the_pace_from_the_times_of_letters() -> None:
    pulse = Pulse()
    pulse.begin(1000.0, 500, [age / 2 for age in range(240)], is_all=True)
    assert pulse.per_second(SHORT) == pytest.approx(2.1)
    assert pulse.per_second(LONG) == pytest.approx(121 / 60)
    pulse.begin(1000.0, 500, [], is_all=True)
    assert (pulse.per_second(SHORT), pulse.per_second(LONG)) == (0.0, 0.0)


def test_where_only_the_youngest_are_known_they_tell_the_pace() -> None:
    pulse = Pulse()
    pulse.begin(1000.0, 90_000, [age / 250 for age in range(1000)], is_all=False)
    assert pulse.per_second(SHORT) == pytest.approx(250, rel=0.01)
    assert pulse.per_second(LONG) == pytest.approx(250, rel=0.01)


@given(
    st.lists(st.tuples(st.floats(0.1, 30), st.integers(0, 1000)), min_size=1, max_size=100),
    st.sampled_from([SHORT, LONG]),
)
def test_a_pace_is_between_the_slowest_and_the_fastest_that_there_was(
    steps: list[tuple[float, int]], seconds: float
) -> None:
    pulse, at, sent = Pulse(), 0.0, 0
    pulse.add(at, sent)
    for wait, more in steps:
        at, sent = at + wait, sent + more
        pulse.add(at, sent)
    pace = pulse.per_second(seconds)
    if pace is not None:
        paces = [more / wait for wait, more in steps]
        assert min(paces) * 0.999 <= pace <= max(paces) * 1.001
