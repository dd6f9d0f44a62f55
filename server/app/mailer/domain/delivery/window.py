"""When a campaign may send: not before a moment, and only in its window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from app.mailer.domain.campaign import DAYS, SendWindow
from app.mailer.domain.errors import MailerError

#: A planned start that is missed by more than this waits for a person.
LATE = timedelta(hours=1)
#: Nobody plans further ahead; who seems to has mistyped the year.
_FARTHEST = timedelta(days=366)


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


def planned_moment(own: datetime | None, asked: datetime | None, now: datetime) -> datetime | None:
    """The moment before which nothing may leave: the campaign's `own`, or a later one `asked` for.

    Raises `MailerError` for one without a time zone, one that is long over, one that is further
    away than anybody plans, and one before the campaign's own: that is part of what was reviewed.
    """
    if asked is None:
        return own
    shown = asked.isoformat(timespec="minutes")
    if asked.tzinfo is None:
        raise MailerError(
            f"{shown} has no time zone.", f"Write {shown}+01:00, or {shown}Z for UTC."
        )
    if now - asked > LATE:
        raise MailerError(
            f"{shown} is over: it is {_utc(now)} now.",
            "Name a moment that is still to come, or none to send at once.",
        )
    if asked - now > _FARTHEST:
        raise MailerError(f"{shown} is more than a year ahead.", "Check the year.")
    if own is not None and asked < own:
        raise MailerError(
            f"The campaign says that nothing leaves before {_utc(own)}, and {shown} is earlier.",
            "Name a later moment, or change `delivery.not_before` in a new version.",
        )
    return asked


def planned_start(
    window: SendWindow | None, not_before: datetime | None, now: datetime
) -> datetime | None:
    """When letters that are queued now begin to leave because somebody planned it (UTC), or None
    where nobody did: a window that opens later is no plan.
    """
    if not_before is None or not_before <= now:
        return None
    return first_due(window, not_before, now).astimezone(UTC)


def is_missed(starts_at: datetime, now: datetime) -> bool:
    """Whether a start of which nothing came is missed, so that a person has to look."""
    return now - starts_at > LATE


def why_missed(starts_at: datetime, now: datetime) -> str:
    """What to tell of a start that was missed."""
    return (
        f"The start planned for {_utc(starts_at)} was missed by {_span(now - starts_at)}: nothing "
        "was sent until now. Resume it to send now, or cancel it."
    )


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    days, hours = divmod(minutes // 60, 24)
    if days:
        parts = [(days, "day"), (hours, "hour")]
    else:
        parts = [(hours, "hour"), (minutes % 60, "minute")]
    return " ".join(f"{n} {what}" if n == 1 else f"{n} {what}s" for n, what in parts if n)
