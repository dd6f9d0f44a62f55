from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.mailer.domain.campaign import DAYS, SendWindow
from app.mailer.domain.delivery.window import (
    first_due,
    is_missed,
    next_open,
    planned_moment,
    planned_start,
    why_missed,
)
from app.mailer.domain.errors import MailerError

BERLIN = "Europe/Berlin"


def _window(begin: str, end: str, days: list[str] | None = None, zone: str = BERLIN) -> SendWindow:
    return SendWindow.model_validate(
        {"days": days or list(DAYS), "from": begin, "to": end, "timezone": zone}
    )


def _at(text: str, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]


@pytest.mark.parametrize(
    ("begin", "end", "days", "at", "opens"),
    [
        # 2026-03-02 is a Monday.
        ("08:00", "18:00", WORKDAYS, "2026-03-02T07:59:59", "2026-03-02T08:00"),
        ("08:00", "18:00", WORKDAYS, "2026-03-02T08:00", "2026-03-02T08:00"),
        ("08:00", "18:00", WORKDAYS, "2026-03-02T17:59:59", "2026-03-02T17:59:59"),
        ("08:00", "18:00", WORKDAYS, "2026-03-02T18:00", "2026-03-03T08:00"),
        ("08:00", "18:00", WORKDAYS, "2026-03-06T18:00", "2026-03-09T08:00"),
        ("08:00", "18:00", ["mon"], "2026-03-02T18:00", "2026-03-09T08:00"),
        # Overnight belongs to the day on which it begins.
        ("22:00", "06:00", ["fri"], "2026-03-07T05:59", "2026-03-07T05:59"),
        ("22:00", "06:00", ["fri"], "2026-03-07T06:00", "2026-03-13T22:00"),
        ("22:00", "06:00", ["fri"], "2026-03-07T23:00", "2026-03-13T22:00"),
        ("22:00", "06:00", ["fri"], "2026-03-06T12:00", "2026-03-06T22:00"),
        ("00:00", "00:00", ["mon"], "2026-03-02T23:59", "2026-03-02T23:59"),
        ("00:00", "00:00", ["mon"], "2026-03-03T00:00", "2026-03-09T00:00"),
        # Clocks go forward on 2026-03-29 at 02:00, and back on 2026-10-25 at 03:00.
        ("08:00", "18:00", None, "2026-03-28T20:00", "2026-03-29T08:00"),
        ("08:00", "18:00", None, "2026-10-24T20:00", "2026-10-25T08:00"),
        ("22:00", "06:00", None, "2026-03-29T05:30", "2026-03-29T05:30"),
        ("02:15", "02:45", None, "2026-03-29T00:00", "2026-03-30T02:15"),
        ("02:15", "02:45", ["sun"], "2026-03-28T00:00", "2026-04-05T02:15"),
    ],
)
def test_when_it_opens(begin: str, end: str, days: list[str] | None, at: str, opens: str) -> None:
    assert next_open(_window(begin, end, days), _at(at)) == _at(opens)


def test_the_hour_that_comes_twice_is_open_twice() -> None:
    window = _window("02:00", "02:30")
    second = _at("2026-10-25T02:10").replace(fold=1).astimezone(UTC)
    assert next_open(window, second) == second


def test_without_a_window_it_is_always_open() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert next_open(None, now) == now


def test_first_due_is_never_before_the_moment_that_was_said() -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    later = now + timedelta(days=1)
    assert first_due(None, None, now) == now
    assert first_due(None, later, now) == later
    assert first_due(None, now - timedelta(days=1), now) == now
    assert first_due(_window("08:00", "10:00", zone="UTC"), later, now) == datetime(
        2026, 3, 4, 8, tzinfo=UTC
    )


def _open_on_the_wall(window: SendWindow, local: datetime) -> bool:
    """Said the long way: each minute of each day that the window covers."""
    clock, day = local.time(), local.weekday()
    today, before = DAYS[day] in window.days, DAYS[day - 1] in window.days
    if window.from_ < window.to:
        return today and window.from_ <= clock < window.to
    return (today and clock >= window.from_) or (before and clock < window.to)


_times = st.times(max_value=time(23, 59)).map(lambda t: t.replace(second=0, microsecond=0))


@given(
    days=st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True),
    begin=_times,
    end=_times,
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kabul"]),
    at=st.integers(0, 3 * 365 * 24 * 60 * 60).map(
        lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
)
@example(
    days=list(DAYS),
    begin=time(2, 30),
    end=time(4, 0),
    zone=BERLIN,
    at=datetime(2026, 10, 25, 0, 45, tzinfo=UTC),
)
def test_the_answer_is_in_the_window_and_not_before(
    days: list[str], begin: time, end: time, zone: str, at: datetime
) -> None:
    window = _window(f"{begin:%H:%M}", f"{end:%H:%M}", days, zone)
    opens = next_open(window, at)
    assert opens >= at
    assert _open_on_the_wall(window, opens.astimezone(ZoneInfo(zone)))
    assert next_open(window, opens) == opens
    if _open_on_the_wall(window, at.astimezone(ZoneInfo(zone))):
        assert opens == at


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_a_moment_that_is_asked_for_takes_the_place_of_an_earlier_one() -> None:
    later = NOON + timedelta(days=2)
    assert planned_moment(None, None, NOON) is None
    assert planned_moment(NOON, None, NOON) == NOON
    assert planned_moment(None, later, NOON) == later
    assert planned_moment(NOON + timedelta(days=1), later, NOON) == later
    just_over = NOON - timedelta(minutes=59)
    assert planned_moment(NOON - timedelta(days=9), just_over, NOON) == just_over


@pytest.mark.parametrize(
    ("own", "asked", "says"),
    [
        (None, datetime(2026, 3, 3, 8), "2026-03-03T08:00 has no time zone."),  # noqa: DTZ001
        (
            None,
            NOON - timedelta(minutes=61),
            "2026-03-02T10:59+00:00 is over: it is 2026-03-02 12:00 UTC now.",
        ),
        (
            None,
            NOON.replace(year=2062),
            "2062-03-02T12:00+00:00 is more than a year ahead.",
        ),
        (
            NOON + timedelta(days=2),
            _at("2026-03-03T08:00"),
            "The campaign says that nothing leaves before 2026-03-04 12:00 UTC, and "
            "2026-03-03T08:00+01:00 is earlier.",
        ),
    ],
)
def test_a_moment_that_cannot_be_planned(own: datetime | None, asked: datetime, says: str) -> None:
    with pytest.raises(MailerError) as refused:
        planned_moment(own, asked, NOON)
    assert refused.value.message == says
    assert refused.value.hint


def test_a_start_is_planned_where_somebody_named_it() -> None:
    window = _window("08:00", "18:00", WORKDAYS)
    evening = _at("2026-03-02T20:00")
    # The window alone is no plan.
    assert planned_start(window, None, evening) is None
    assert planned_start(window, evening - timedelta(hours=3), evening) is None
    start = planned_start(window, _at("2026-03-03T06:00"), evening)
    assert start == _at("2026-03-03T08:00")
    assert start is not None
    assert start.tzinfo is UTC
    assert planned_start(None, evening + timedelta(minutes=1), evening) is not None


@pytest.mark.parametrize(
    ("late", "missed", "span"),
    [
        (timedelta(minutes=60), False, "1 hour"),
        (timedelta(minutes=61), True, "1 hour 1 minute"),
        (timedelta(hours=7), True, "7 hours"),
        (timedelta(days=1, minutes=59), True, "1 day"),
        (timedelta(days=3, hours=2), True, "3 days 2 hours"),
    ],
)
def test_a_start_is_missed_after_an_hour(late: timedelta, missed: bool, span: str) -> None:
    assert is_missed(NOON, NOON + late) is missed
    assert why_missed(NOON, NOON + late) == (
        f"The start planned for 2026-03-02 12:00 UTC was missed by {span}: nothing was sent until "
        "now. Resume it to send now, or cancel it."
    )
