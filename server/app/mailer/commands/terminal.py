"""What the commands share: tables and bars for people, JSON for programs, exit codes for both.

Exit codes: 0 for success, 1 for findings (done, but somebody has to look), 2 for wrong use.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn
from uuid import UUID

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from app.mailer.domain.errors import CampaignInvalid, MailerError
from app.mailer.domain.issues import EntryState, Issue, Severity

OK, FINDINGS, WRONG_USE = 0, 1, 2

#: Rich takes 80 columns where there is no terminal, which cuts addresses and paths.
_WIDTH = None if sys.stdout.isatty() else 160
out = Console(width=_WIDTH, highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)

_COLOURS = {
    "block": "red",
    "blocked": "red",
    "failed": "red",
    "in_doubt": "red",
    "exclude": "magenta",
    "excluded": "magenta",
    "review": "yellow",
    "needs_review": "yellow",
    "warn": "yellow",
    "warning": "yellow",
    "deferred": "yellow",
    "ready": "green",
    "sent": "green",
    "appended": "green",
    "inactive": "bright_black",
}

CampaignFile = Annotated[
    str, typer.Option("--campaign", metavar="FILE", help="The campaign file (JSON).")
]
ApiKey = Annotated[
    str,
    typer.Option(
        "--api-key",
        envvar="MULTIMAILER_API_KEY",
        metavar="KEY",
        help="Whose work this is. Better from the environment than on the command line.",
    ),
]
CampaignId = Annotated[
    str,
    typer.Option("--campaign-id", metavar="UUID", help="As list_db_campaigns shows it."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON alone, for programs.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Also show what is in order.")]


def run(command: Callable[..., int | None]) -> NoReturn:
    """Run a command function as a program: `run(main)` at the end of its module."""

    @functools.wraps(command)
    def guarded(**arguments: Any) -> NoReturn:
        as_json = bool(arguments.get("as_json"))
        try:
            code = command(**arguments) or OK
        except CampaignInvalid as error:
            code = FINDINGS
            if as_json:
                print_json(
                    {"error": str(error), "issues": [each.as_dict() for each in error.issues]}
                )
            else:
                print_issues(error.issues)
        except MailerError as error:
            code = WRONG_USE
            if as_json:
                print_json({"error": error.message, "hint": error.hint})
            else:
                err.print(f"[bold red]{escape(error.message)}[/]")
                if error.hint:
                    err.print(escape(error.hint))
        except BrokenPipeError:
            # The reader has seen enough (`| head`); the interpreter must not complain at exit.
            sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123
            code = OK
        except KeyboardInterrupt:
            err.print("Interrupted.")
            code = FINDINGS
        raise SystemExit(code)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(guarded)
    app()
    raise AssertionError("typer ends the program itself")


def _nothing_but(issues: Sequence[Issue]) -> dict[str, object]:
    """A file that cannot be read as a campaign, in the form that the others have."""
    return {
        "campaign": None,
        "summary": {state.value: 0 for state in EntryState},
        "issues": [issue.as_dict() for issue in issues],
        "entries": [],
    }


# ---------------------------------------------------------------- JSON


def print_json(value: object) -> None:
    """One JSON document on standard output, and nothing else."""
    sys.stdout.buffer.write(
        orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    )
    sys.stdout.flush()


def print_json_stream(head: Mapping[str, object], key: str, items: Iterable[object]) -> None:
    """`head` with the list `items` under `key`, one item a line and never all in memory."""
    write = sys.stdout.buffer.write
    write(orjson.dumps(head, default=str)[:-1])
    write(b"," if head else b"")
    write(orjson.dumps(key) + b":[")
    for number, item in enumerate(items):
        write(b",\n" if number else b"\n")
        write(orjson.dumps(item, default=str))
    write(b"\n]}\n")
    sys.stdout.flush()


# ---------------------------------------------------------------- tables


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
) -> None:
    """A table for people; a cell that is a state gets its colour."""
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(coloured(cell) for cell in row))
    out.print(table)


def coloured(value: object) -> str:
    """A cell's text; states and severities in their colour."""
    text = "" if value is None else str(value)
    colour = _COLOURS.get(text)
    # Control characters in a file name or a server's reply could steer the terminal.
    text = escape("".join(char if char.isprintable() or char == "\n" else "�" for char in text))
    return f"[{colour}]{text}[/]" if colour else text


def say(text: str) -> None:
    """A sentence on standard output; markup is the caller's, data goes through `escape`."""
    out.print(text)


def print_issues(issues: Sequence[Issue], *, title: str = "Found", most: int = 200) -> None:
    """What is wrong, gravest first, with where and what to do."""
    order = list(Severity)
    ranked = sorted(issues, key=lambda issue: order.index(issue.severity))
    print_table(
        title,
        ["", "Code", "Where", "Entry", "What", "What to do"],
        [
            (each.severity.value, each.code, each.pointer, each.entry, each.message, each.hint)
            for each in ranked[:most]
        ],
    )
    if len(ranked) > most:
        say(f"… and {len(ranked) - most} more; --json shows all.")


def print_summary(summary: Mapping[str, int]) -> None:
    """The six states in one line."""
    say("   ".join(f"{coloured(state)} {count}" for state, count in summary.items()))


# ---------------------------------------------------------------- long work


class Bar:
    """Progress of long work on standard error: a bar in a terminal, else a line now and then."""

    _QUIET_SECONDS = 10.0

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._told_at = time.monotonic()

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        if phase not in self._tasks:
            for task in self._tasks.values():
                self._bar.update(task, visible=False)
            self._tasks[phase] = self._bar.add_task(phase, total=total)
        self._bar.update(self._tasks[phase], completed=done, total=total)
        if not err.is_terminal and time.monotonic() - self._told_at > self._QUIET_SECONDS:
            self._told_at = time.monotonic()
            err.print(f"{phase}: {done}" + (f" of {total}" if total is not None else ""))


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets, so that the message in hand can be finished.

    A second one ends the program at once; what it had in hand is then in doubt.
    """
    stop = threading.Event()

    def ask(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        err.print("Stopping after the message in hand …")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parse_uuid(text: str, option: str) -> UUID:
    """An id as an option gives it; `MailerError` names the option and the value."""
    try:
        return UUID(text)
    except ValueError:
        raise MailerError(
            f"{option}: “{text}” is not an id.",
            "list_db_campaigns shows them: 32 hexadecimal digits in five groups.",
        ) from None
