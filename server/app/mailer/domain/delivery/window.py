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
    if _is_open(window, at.astimezone(zone)):
        return at
    today = at.astimezone(zone).date()
    # Two weeks: a clock that is put forward can skip the one short window of a week.
    for ahead in range(16):
        day = today + timedelta(days=ahead)
        # A time that a clock shows twice, or never, has two readings (PEP 495).
        readings = (datetime.combine(day, window.from_.replace(fold=fold), zone) for fold in (0, 1))
        found = [
            moment
            for moment in (reading.astimezone(UTC) for reading in readings)
            if moment > at and _is_open(window, moment.astimezone(zone))
        ]
        if found:
            return min(found)
    raise ValueError("The send window has no day.")


def _is_open(window: SendWindow, local: datetime) -> bool:
    """Whether the window is open when a clock on the wall there shows `local`."""
    begin, end, clock = window.from_, window.to, local.time()
    if begin < end:
        return begin <= clock < end and DAYS[local.weekday()] in window.days
    # Overnight: what began yesterday is open until the end.
    began = local if clock >= begin else local - timedelta(days=1)
    return (clock >= begin or clock < end) and DAYS[began.weekday()] in window.days


def first_due(window: SendWindow | None, not_before: datetime | None, now: datetime) -> datetime:
    """When a message that is queued now may leave at the earliest."""
    return next_open(window, max(now, not_before) if not_before is not None else now)
