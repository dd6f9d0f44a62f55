"""What a campaign that is being sent does just now, and when it will be done.

Pure values: the counts, the limits and the clock are handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from app.mailer.domain.campaign import SendWindow
from app.mailer.domain.delivery.window import next_open
from app.mailer.domain.mail_account import MINUTES_PER_DAY, MINUTES_PER_HOUR, slowest

#: Seconds that letters are due without anybody taking them up before that is said.
PATIENCE = 30.0
#: A shorter wait for the limit is the rhythm of a paced campaign.
_LONG_WAIT = 5.0
#: No end is told that is farther away.
_HORIZON = timedelta(days=3650)


class LiveState(StrEnum):
    """What happens just now. Each member's meaning is in `MEANING`."""

    IDLE = "idle"
    DONE = "done"
    FILING_COPIES = "filing_copies"
    PAUSED = "paused"
    LIMITS_AWAY = "limits_away"
    HELD = "held"
    PLANNED = "planned"
    WINDOW_CLOSED = "window_closed"
    RETRYING = "retrying"
    WAITING_FOR_LIMIT = "waiting_for_limit"
    NO_WORKER = "no_worker"
    STARTING = "starting"
    SENDING = "sending"


MEANING: dict[LiveState, str] = {
    LiveState.IDLE: "Nothing was queued.",
    LiveState.DONE: "Nothing waits any more.",
    LiveState.FILING_COPIES: "Every letter is settled; copies wait to be filed in the Sent folder.",
    LiveState.PAUSED: "Somebody holds the campaign back.",
    LiveState.LIMITS_AWAY: "The limits cannot be asked, and nothing is sent without them.",
    LiveState.HELD: "The mail server could not be used; it is tried again later.",
    LiveState.PLANNED: "The first letter is due later.",
    LiveState.WINDOW_CLOSED: "The send window is closed.",
    LiveState.RETRYING: "All that is left was put off by the server, and is tried again later.",
    LiveState.WAITING_FOR_LIMIT: "The next letter may leave when the limit allows it.",
    LiveState.NO_WORKER: "Letters are due, and nobody takes them up.",
    LiveState.STARTING: "Letters are due, and a worker will take them up.",
    LiveState.SENDING: "Letters leave.",
}

#: In these nobody can say when it goes on.
_STUCK = {LiveState.PAUSED, LiveState.LIMITS_AWAY, LiveState.NO_WORKER}
_OVER = {LiveState.IDLE, LiveState.DONE, LiveState.FILING_COPIES}
#: In these something else than a missing worker keeps letters back.
HELD_BACK = {
    LiveState.PAUSED,
    LiveState.LIMITS_AWAY,
    LiveState.HELD,
    LiveState.PLANNED,
    LiveState.WINDOW_CLOSED,
    LiveState.RETRYING,
}


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit that holds for a campaign, and how it stands.

    `per_minute` to `per_day` are what is allowed, None: no limit of that kind. The others are as in
    `ports.Standing`, None where this process cannot know: the limits are those of another one.
    """

    of: str
    name: str
    per_minute: float | None = None
    per_hour: int | None = None
    per_day: int | None = None
    pace_per_minute: float | None = None
    share: float | None = None
    wait_seconds: float | None = None
    this_hour: int | None = None
    today: int | None = None
    connections: int | None = None

    @property
    def pace(self) -> float | None:
        """Letters a minute that it lets through now, budgets aside."""
        return slowest(self.per_minute, self.pace_per_minute)

    def seconds_for(self, letters: int) -> float:
        """How long its budgets make so many letters take, at least."""
        return max(
            _budgeted(letters, self.per_hour, self.this_hour, MINUTES_PER_HOUR * 60),
            _budgeted(letters, self.per_day, self.today, MINUTES_PER_DAY * 60),
        )


def _budgeted(letters: int, budget: int | None, used: int | None, period: float) -> float:
    if budget is None:
        return 0.0
    # Where nobody can say what is used, the budget is taken as spread evenly.
    free = 0 if used is None else max(0, budget - used)
    return max(0, letters - free) / budget * period


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a campaign at `now`."""

    now: datetime
    #: Letters that something is still to be done with, and those of them that a worker holds.
    waiting: int
    in_hand: int = 0
    #: Of those that nobody holds: only such as the server put off before.
    only_deferred: bool = False
    #: Whether any letter was ever queued.
    began: bool = True
    copies_pending: int = 0
    #: Who holds it back and why, as a sentence.
    pause: str | None = None
    held_until: datetime | None = None
    hold_reason: str | None = None
    starts_at: datetime | None = None
    window: SendWindow | None = None
    #: When the next letter that nobody holds is, or was, due.
    due_at: datetime | None = None
    #: When the last letter was taken up or sent, and since when nothing else keeps letters back.
    active_at: datetime | None = None
    free_since: datetime | None = None
    #: Why the limits cannot be asked.
    limits_away: str | None = None
    limits: Sequence[Limit] = ()
    #: Letters a second since any leave, None where that cannot be said yet.
    per_second: float | None = None

    @property
    def pace(self) -> float | None:
        """Letters a second that the limits let through, None without any."""
        found = slowest(*(each.pace for each in self.limits))
        return None if found is None else found / 60

    @property
    def patience(self) -> timedelta:
        """How long nothing needs to happen although somebody sends: a slow pace has long gaps."""
        gap = 0.0 if not self.pace else 2 / self.pace
        return timedelta(seconds=min(max(PATIENCE, gap), MINUTES_PER_DAY * 60))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens just now, as a sentence, and until when it stays like this, if that is known."""

    state: LiveState
    text: str
    until: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Nothing is left to happen by itself."""
        return self.state in (LiveState.IDLE, LiveState.DONE)


def verdict(facts: Facts) -> Verdict:
    """What keeps the letters, the first reason that a person would want to hear."""
    if not facts.waiting:
        return _without_letters(facts)
    now = facts.now
    if facts.pause is not None:
        return Verdict(LiveState.PAUSED, facts.pause)
    if facts.limits_away is not None:
        return Verdict(
            LiveState.LIMITS_AWAY,
            f"{facts.limits_away} Nothing is sent without the limits; letters wait meanwhile.",
        )
    if facts.held_until is not None and facts.held_until > now:
        why = facts.hold_reason or MEANING[LiveState.HELD]
        return Verdict(
            LiveState.HELD, f"{why} Tried again at {_clock(facts.held_until)}.", facts.held_until
        )
    return _kept_by_time(facts) or _at_work(facts)


def _without_letters(facts: Facts) -> Verdict:
    if facts.copies_pending:
        return Verdict(LiveState.FILING_COPIES, MEANING[LiveState.FILING_COPIES])
    state = LiveState.DONE if facts.began else LiveState.IDLE
    return Verdict(state, MEANING[state])


def _kept_by_time(facts: Facts) -> Verdict | None:
    now, starts, due = facts.now, facts.starts_at, facts.due_at
    if facts.in_hand:
        return None
    if starts is not None and starts > now:
        return Verdict(LiveState.PLANNED, f"The start is planned for {_clock(starts)}.", starts)
    opens = next_open(facts.window, now)
    if opens > now:
        text = f"The send window is closed. It opens at {_clock(opens)}."
        return Verdict(LiveState.WINDOW_CLOSED, text, opens)
    if due is not None and due > now:
        if facts.only_deferred:
            text = f"The server put off what is left. The next try is due at {_clock(due)}."
            return Verdict(LiveState.RETRYING, text, due)
        return Verdict(LiveState.PLANNED, f"The next letter is due at {_clock(due)}.", due)
    return None


def _at_work(facts: Facts) -> Verdict:
    now, quiet = facts.now, facts.now - facts.patience
    is_active = facts.active_at is not None and facts.active_at >= quiet
    if facts.in_hand and is_active:
        return Verdict(LiveState.SENDING, MEANING[LiveState.SENDING])
    slow = max(facts.limits, key=lambda each: each.wait_seconds or 0.0, default=None)
    if slow is not None and (slow.wait_seconds or 0.0) >= _LONG_WAIT:
        until = now + timedelta(seconds=slow.wait_seconds or 0.0)
        text = f"The limit of {slow.name} allows the next letter at {_clock(until)}."
        return Verdict(LiveState.WAITING_FOR_LIMIT, text, until)
    if is_active:
        return Verdict(LiveState.SENDING, MEANING[LiveState.SENDING])
    since = max((each for each in (facts.due_at, facts.free_since) if each), default=now)
    if since <= quiet:
        return Verdict(
            LiveState.NO_WORKER,
            f"No worker seems to run: letters are due since {_clock(since)}, and nobody takes "
            "them up.",
        )
    return Verdict(LiveState.STARTING, MEANING[LiveState.STARTING])


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the last letter will have left, and what that was worked out from: `pace` or `limits`.

    Without a moment `reason` says why there is none.
    """

    at: datetime | None = None
    basis: str | None = None
    reason: str | None = None


def forecast(facts: Facts, found: Verdict) -> Forecast:
    """The expected end, send window and budgets included."""
    if found.state in _OVER:
        return Forecast()
    if found.state in _STUCK:
        return Forecast(reason=found.text)
    limit = facts.pace
    rate, basis = limit, "limits"
    if found.state in (LiveState.SENDING, LiveState.WAITING_FOR_LIMIT) and facts.per_second:
        rate, basis = slowest(facts.per_second, limit), "pace"
    if not rate and not any(each.seconds_for(1) for each in facts.limits):
        return Forecast(reason="Nothing moves yet, and no limit says how fast it may go.")
    seconds = max(
        facts.waiting / rate if rate else 0.0,
        *(each.seconds_for(facts.waiting) for each in facts.limits),
        0.0,
    )
    waits = found.state is not LiveState.WAITING_FOR_LIMIT and found.until is not None
    start = max(facts.now, found.until) if waits and found.until else facts.now
    end = None
    if seconds < _HORIZON.total_seconds():
        end = end_within(facts.window, start, timedelta(seconds=seconds))
    if end is None:
        return Forecast(reason="At this pace it takes more than ten years.")
    if facts.only_deferred and facts.due_at is not None:
        end = max(end, facts.due_at)
    return Forecast(end, basis)


def end_within(window: SendWindow | None, start: datetime, work: timedelta) -> datetime | None:
    """When so much work is done that begins at `start` and rests while the window is closed.

    None where that is more than ten years ahead.
    """
    at, horizon = next_open(window, start), start + _HORIZON
    if window is None:
        return at + work
    while at < horizon:
        closes = _closing(window, at)
        if at + work <= closes:
            return at + work
        work -= closes - at
        at = next_open(window, closes)
    return None


def _closing(window: SendWindow, at: datetime) -> datetime:
    """The next moment after `at`, while the window is open, at which a wall clock shows `to`."""
    zone = ZoneInfo(window.timezone)
    day = at.astimezone(zone).date()
    for ahead in range(3):
        closes = datetime.combine(day + timedelta(days=ahead), window.to, zone).astimezone(UTC)
        if closes > at:
            return closes
    raise ValueError("No day has that time.")


def _clock(moment: datetime) -> str:
    """A moment as people read it, to the second: the minute alone would hide short waits."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
