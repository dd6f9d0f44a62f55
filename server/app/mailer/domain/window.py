"""When a campaign may send: not before a moment, and only in its window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from app.mailer.domain.campaign import DAYS, SendWindow


def next_open(window: SendWindow | None, at: datetime) -> datetime:
    """`at` where the window is open then, else the next moment at which it opens (UTC).

    `from` belongs to the window and `to` does not. Times are those of clocks on the wall there,
    also on the two days a year that are an hour longer or shorter.
    """
    if window is None:
        return at
    zone = ZoneInfo(window.timezone)
    local = at.astimezone(zone)
    days = {DAYS.index(day) for day in window.days}
    begin, end = window.from_, window.to
    overnight = end <= begin
    for ahead in range(-1, 9):
        day = (local + timedelta(days=ahead)).date()
        if day.weekday() not in days:
            continue
        opens = datetime.combine(day, begin, zone).astimezone(UTC)
        closing_day = day + timedelta(days=1) if overnight else day
        closes = datetime.combine(closing_day, end, zone).astimezone(UTC)
        if opens <= at < closes:
            return at
        if opens > at:
            return opens
    raise ValueError("The send window has no day.")


def first_due(window: SendWindow | None, not_before: datetime | None, now: datetime) -> datetime:
    """When a message that is queued now may leave at the earliest."""
    return next_open(window, max(now, not_before) if not_before is not None else now)
