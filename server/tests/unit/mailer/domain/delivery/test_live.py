"""What a campaign does just now, and when it will be done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.campaign import DAYS, SendWindow
from app.mailer.domain.delivery.live import (
    MEANING,
    Facts,
    Forecast,
    Limit,
    LiveState,
    end_within,
    forecast,
    verdict,
)
from app.mailer.domain.delivery.window import next_open

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
SECOND = timedelta(seconds=1)


def facts(**values: Any) -> Facts:
    """A hundred letters that are due for ten seconds, and nothing else."""
    given_: dict[str, Any] = {"now": NOW, "waiting": 100, "due_at": NOW - 10 * SECOND}
    return Facts(**(given_ | values))


def window(**values: Any) -> SendWindow:
    return SendWindow.model_validate({"from": "09:00", "to": "17:00", **values})


def end(found: Facts) -> Forecast:
    return forecast(found, verdict(found))


def test_every_state_has_its_sentence() -> None:
    assert set(MEANING) == set(LiveState)


@pytest.mark.parametrize(
    ("values", "state", "words"),
    [
        ({"waiting": 0, "began": False}, "idle", "Nothing was queued"),
        ({"waiting": 0}, "done", "Nothing waits"),
        ({"waiting": 0, "copies_pending": 3}, "filing_copies", "copies wait"),
        ({"pause": "Paused by Ada: a mistake"}, "paused", "by Ada: a mistake"),
        ({"limits_away": "Redis does not answer."}, "limits_away", "Redis does not answer."),
        (
            {"held_until": NOW + 60 * SECOND, "hold_reason": "No route."},
            "held",
            "No route. Tried again at 2026-03-02 12:01:00 UTC.",
        ),
        ({"held_until": NOW - SECOND}, "starting", "will take them up"),
        ({"starts_at": NOW + 60 * SECOND}, "planned", "planned for 2026-03-02 12:01:00 UTC"),
        ({"due_at": NOW + 60 * SECOND}, "planned", "due at 2026-03-02 12:01:00 UTC"),
        ({"due_at": NOW + 60 * SECOND, "only_deferred": True}, "retrying", "12:01:00"),
        ({"window": window(**{"from": "13:00"})}, "window_closed", "opens at 2026-03-02 13:00:00"),
        ({"limits": [Limit("account", "Office", wait_seconds=90)]}, "waiting_for_limit", "Office"),
        ({"limits": [Limit("account", "Office", wait_seconds=2)]}, "starting", ""),
        ({"in_hand": 2, "active_at": NOW - SECOND}, "sending", ""),
        ({"active_at": NOW - 20 * SECOND}, "sending", ""),
        ({}, "starting", ""),
        ({"due_at": NOW - 31 * SECOND}, "no_worker", "No worker seems to run: letters are due"),
        ({"due_at": NOW - 31 * SECOND, "active_at": NOW - 29 * SECOND}, "sending", ""),
        ({"due_at": NOW - 90 * SECOND, "active_at": NOW - 40 * SECOND}, "no_worker", ""),
        # What somebody claimed and died with.
        ({"due_at": NOW - 90 * SECOND, "in_hand": 5, "active_at": NOW - 90 * SECOND}, *("",) * 2),
        # A pause that ended a moment ago is no reason to miss a worker.
        ({"due_at": NOW - 3600 * SECOND, "free_since": NOW - SECOND}, "starting", ""),
    ],
)
def test_the_first_reason_that_a_person_wants_to_hear(
    values: dict[str, Any], state: str, words: str
) -> None:
    found = verdict(facts(**values))
    assert found.state == (state or "no_worker")
    assert words in found.text


def test_a_person_comes_before_the_limits_and_these_before_the_clock() -> None:
    everything = facts(
        pause="Paused.",
        limits_away="Redis is away.",
        held_until=NOW + SECOND,
        starts_at=NOW + SECOND,
        due_at=NOW - 60 * SECOND,
    )
    states = []
    for gone in ("pause", "limits_away", "held_until", "starts_at", None):
        states.append(verdict(everything).state.value)
        if gone:
            everything = replace(everything, **{gone: None})
    assert states == ["paused", "limits_away", "held", "planned", "no_worker"]


def test_nobody_is_missed_where_the_pace_is_slow() -> None:
    slow = [Limit("campaign", "it", per_minute=0.5)]
    found = facts(due_at=NOW - 3600 * SECOND, active_at=NOW - 100 * SECOND, limits=slow)
    assert verdict(found).state is LiveState.SENDING
    assert verdict(replace(found, limits=[])).state is LiveState.NO_WORKER


def test_the_end_comes_from_the_pace_while_letters_leave() -> None:
    found = facts(active_at=NOW, per_second=2.0)
    assert end(found) == Forecast(NOW + 50 * SECOND, "pace")


def test_the_end_comes_from_the_limits_before_anything_moves() -> None:
    limits = [Limit("account", "Office", per_minute=600), Limit("campaign", "it", per_minute=60)]
    assert end(facts(limits=limits)) == Forecast(NOW + 100 * SECOND, "limits")
    starts = NOW + timedelta(days=1)
    assert end(facts(limits=limits, starts_at=starts)).at == starts + 100 * SECOND


def test_the_end_comes_from_the_pace_that_a_complaint_left() -> None:
    slowed = Limit("account", "Office", per_minute=60, pace_per_minute=30, share=0.5)
    assert end(facts(limits=[slowed])).at == NOW + 200 * SECOND


def test_a_budget_that_is_used_up_makes_the_end_wait() -> None:
    day = Limit("account", "Office", per_day=100, today=40)
    sending = facts(active_at=NOW, per_second=10.0, limits=[day])
    assert end(sending).at == NOW + timedelta(days=0.4)
    assert end(replace(sending, waiting=60)).at == NOW + 6 * SECOND


@pytest.mark.parametrize(
    "values",
    [{"pause": "Paused."}, {"limits_away": "Away."}, {"due_at": NOW - 60 * SECOND}, {}],
)
def test_where_no_end_can_be_said_there_is_a_reason(values: dict[str, Any]) -> None:
    found = end(facts(**values))
    assert found.at is None
    assert found.reason


def test_an_end_beyond_the_horizon_is_none() -> None:
    found = end(facts(waiting=10**9, limits=[Limit("campaign", "it", per_minute=0.001)]))
    assert (found.at, found.reason) == (None, "At this pace it takes more than ten years.")


def test_the_night_is_not_sent_through() -> None:
    week = window(days=["mon", "tue", "wed", "thu", "fri"])
    limits = [Limit("campaign", "it", per_minute=1)]
    # Five hours until 17:00 on Monday, then eight a day: 45 hours are the next Monday.
    found = facts(waiting=45 * 60, limits=limits, window=week)
    assert end(found).at == datetime(2026, 3, 9, 17, tzinfo=UTC)
    over_night = window(**{"from": "20:00", "to": "06:00"})
    assert end_within(over_night, NOW, timedelta(hours=11)) == datetime(2026, 3, 3, 21, tzinfo=UTC)


windows = st.builds(
    lambda days, from_, to, zone: SendWindow.model_validate(
        {"days": days, "from": f"{from_:%H:%M}", "to": f"{to:%H:%M}", "timezone": zone}
    ),
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True),
    st.times(),
    st.times(),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
).filter(lambda each: _minutes(each) >= 30)


def _minutes(each: SendWindow) -> int:
    return ((each.to.hour - each.from_.hour) * 60 + each.to.minute - each.from_.minute) % 1440


_FIRST, _LAST = (datetime(2026, *day) for day in ((1, 1), (12, 31)))  # noqa: DTZ001 - so asked for
moments = st.datetimes(_FIRST, _LAST, timezones=st.just(UTC))


@given(windows, moments, st.integers(1, 72))
def test_work_ends_while_the_window_is_open(each: SendWindow, at: datetime, hours: int) -> None:
    work = timedelta(hours=hours)
    ended = end_within(each, at, work)
    assert ended is not None
    assert ended >= next_open(each, at) + work
    just_before = ended - SECOND
    assert next_open(each, just_before) == just_before
    later = end_within(each, at, work + timedelta(minutes=1))
    assert later is not None
    assert later > ended


def test_the_day_on_which_a_clock_is_put_forward_is_an_hour_shorter() -> None:
    night = window(**{"from": "00:00", "to": "06:00", "timezone": "Europe/Berlin"})
    begin = datetime(2026, 3, 29, 0, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    ended = end_within(night, begin, timedelta(hours=6))
    assert ended == datetime(2026, 3, 30, 1, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


maybe = st.none() | moments
pace = st.none() | st.floats(0.001, 10_000)
count = st.none() | st.integers(1, 10_000)
limits = st.lists(
    st.builds(
        Limit,
        st.just("account"),
        st.just("Office"),
        per_minute=pace,
        per_hour=count,
        per_day=count,
        pace_per_minute=pace,
        wait_seconds=st.none() | st.floats(0, 3600),
        this_hour=count,
        today=count,
    ),
    max_size=2,
)
any_facts = st.builds(
    Facts,
    now=moments,
    waiting=st.integers(0, 100_000),
    in_hand=st.integers(0, 20),
    only_deferred=st.booleans(),
    began=st.booleans(),
    copies_pending=st.integers(0, 3),
    pause=st.sampled_from([None, "Paused."]),
    held_until=maybe,
    hold_reason=st.sampled_from([None, "No route."]),
    starts_at=maybe,
    window=st.none() | windows,
    due_at=maybe,
    active_at=maybe,
    free_since=maybe,
    limits_away=st.sampled_from([None, "Away."]),
    limits=limits,
    per_second=st.none() | st.floats(0, 10_000),
)


@given(any_facts)
def test_there_is_an_end_or_a_reason_why_not(found: Facts) -> None:
    now_ = verdict(found)
    assert now_.text
    assert now_.until is None or now_.until >= found.now
    assert now_.is_over == (not found.waiting and not found.copies_pending)
    told = forecast(found, now_)
    if not found.waiting:
        assert told == Forecast()
        return
    assert (told.at is None) == (told.basis is None) == bool(told.reason)
    if told.at is not None:
        assert told.at >= found.now


@given(any_facts, st.integers(1, 1000))
def test_more_letters_never_end_sooner(found: Facts, more: int) -> None:
    found = replace(found, waiting=max(1, found.waiting))
    first, second = end(found), end(replace(found, waiting=found.waiting + more))
    if first.at is not None and second.at is not None:
        assert second.at >= first.at
