"""A campaign's live figures in the terminal, or as a line of JSON for each change."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

import orjson
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.access.actor import Actor
from app.bootstrap.program import Program
from app.db.session import DATABASE_AWAY, what_is_away
from app.mailer.commands.terminal import (
    FINDINGS,
    OK,
    coloured,
    out,
    say_the_rest_to_nobody,
)
from app.mailer.domain.delivery.figures import Figures
from app.mailer.domain.delivery.job import SendStatus
from app.mailer.domain.delivery.live import Limit, LiveState
from app.mailer.domain.errors import ConfigurationError

_COLOURS = {
    LiveState.SENDING: "green",
    LiveState.DONE: "green",
    LiveState.PAUSED: "yellow",
    LiveState.HELD: "yellow",
    LiveState.RETRYING: "yellow",
    LiveState.LIMITS_AWAY: "red",
    LiveState.NO_WORKER: "red",
}
_SETTLED = (SendStatus.SENT, SendStatus.FAILED, SendStatus.IN_DOUBT)


def watch(
    program: Program, actor: Actor, campaign_id: UUID, *, interval: float, as_json: bool
) -> int:
    """Show how the campaign stands until nothing is left to happen, or somebody has seen enough.

    0 then; 1 where at the end letters have failed or are in doubt.
    """
    with _asked_to_end() as stop:
        if as_json or not out.is_terminal:
            return _follow(program, actor, campaign_id, interval, stop, _line())
        with Live(console=out, auto_refresh=False, vertical_overflow="crop") as screen:

            def show(figures: Figures | None, away: str | None) -> None:
                shown = [] if figures is None else [view(figures)]
                if away is not None:
                    shown.append(Text(f"The database does not answer: {away}", style="red"))
                screen.update(Group(*shown), refresh=True)

            return _follow(program, actor, campaign_id, interval, stop, show)


Show = Callable[[Figures | None, str | None], None]


def _follow(
    program: Program,
    actor: Actor,
    campaign_id: UUID,
    interval: float,
    stop: threading.Event,
    show: Show,
) -> int:
    figures: Figures | None = None
    while not stop.is_set():
        away = None
        try:
            figures = program.live.figures(actor, campaign_id)
        except DATABASE_AWAY as error:
            if figures is None:
                raise ConfigurationError(
                    f"The database could not be used: {what_is_away(error)}.",
                    "Check DATABASE_URL, and that the database runs.",
                ) from error
            away = str(what_is_away(error)).strip().split("\n")[0]
        try:
            show(figures, away)
        except BrokenPipeError:
            say_the_rest_to_nobody(sys.stdout)
            return OK
        if figures is not None and figures.is_over:
            return FINDINGS if figures.failed or figures.in_doubt else OK
        stop.wait(interval)
    return OK


def _line() -> Show:
    last: Figures | None = None

    def show(figures: Figures | None, _away: str | None) -> None:
        nonlocal last
        if figures is None or (last is not None and figures.still == last.still):
            return
        last = figures
        sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")
        sys.stdout.flush()

    return show


@contextmanager
def _asked_to_end() -> Iterator[threading.Event]:
    """Set by Ctrl-C, SIGTERM and a terminal that is closed; a second Ctrl-C does not wait."""
    stop = threading.Event()

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---------------------------------------------------------------- what is shown


def view(figures: Figures) -> RenderableType:
    """All figures, the most important ones first: a low terminal cuts off the end."""
    counts = figures.letters
    settled = sum(counts[status] for status in _SETTLED)
    style = _COLOURS.get(figures.state, "cyan")
    name = Text.from_markup(
        f"[bold]{coloured(figures.name)}[/] ({coloured(figures.external_id)})  {_at(figures.at)}"
    )
    parts: list[RenderableType] = [
        name,
        Text.from_markup(f"[{style}]{coloured(figures.text)}[/]"),
        ProgressBar(total=max(1, settled + figures.remaining), completed=settled, width=60),
        Text.from_markup(
            f"[bold]{figures.sent}[/] sent, [bold]{figures.remaining}[/] to go   "
            f"{_pace(figures)}   {_end(figures)}"
        ),
        Text.from_markup(_counted(counts)),
    ]
    newest = figures.newest
    if newest is not None and dict(newest.letters) != dict(counts):
        parts.append(Text.from_markup(f"Version {newest.number}: {_counted(newest.letters)}"))
    if any(figures.copies.values()):
        parts.append(Text.from_markup(f"Copies in Sent: {_counted(figures.copies)}"))
    parts += [Text.from_markup(_limit(each)) for each in figures.limits if _limit(each)]
    if figures.errors:
        parts.append(_errors(figures))
    return Group(*parts)


def _counted(counts: Mapping[str, int]) -> str:
    found = (f"{coloured(state)} {count}" for state, count in counts.items() if count)
    return "   ".join(found) or "no letters"


def _pace(figures: Figures) -> str:
    if not figures.remaining:
        return ""
    if figures.per_second_10 is None:
        return "pace not known yet"
    minute = "" if figures.per_second_60 is None else f" (last minute {figures.per_second_60:g}/s)"
    return f"{figures.per_second_10:g}/s{minute}"


def _end(figures: Figures) -> str:
    if figures.expected_end is not None:
        basis = " by the limits" if figures.expected_from == "limits" else ""
        return f"expected end {_at(figures.expected_end)}{basis}"
    return "expected end cannot be said" if figures.remaining else ""


def _limit(limit: Limit) -> str:
    said = []
    if limit.pace_per_minute is not None or limit.per_minute is not None:
        said.append(f"{limit.pace_per_minute or limit.per_minute:g} a minute")
    if limit.share is not None and limit.share < 1:
        said.append(f"slowed down to {limit.share:.0%}")
    for used, most, period in (
        (limit.this_hour, limit.per_hour, "an hour"),
        (limit.today, limit.per_day, "a day"),
    ):
        if most is not None:
            said.append(f"{most} {period}" if used is None else f"{used} of {most} {period}")
    if limit.wait_seconds:
        said.append(f"next in {limit.wait_seconds:.0f} s")
    if limit.connections:
        said.append(f"{limit.connections} connections")
    return f"Limit of {coloured(limit.name)}: {', '.join(said)}" if said else ""


def _errors(figures: Figures) -> Table:
    table = Table(title="Last errors", title_justify="left", title_style="bold", pad_edge=False)
    for column in ("At", "Entry", "State", "Code", "What"):
        table.add_column(column, overflow="fold" if column == "What" else "ellipsis")
    for each in figures.errors:
        at = "" if each.at is None else _at(each.at)
        code = "" if each.code is None else str(each.code)
        state = coloured(each.send_status.value)
        table.add_row(at, coloured(each.entry), state, code, coloured(each.text or ""))
    return table


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
