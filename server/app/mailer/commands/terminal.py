"""What the commands share: tables and bars for people, JSON for programs, exit codes for both.

Exit codes: 0 for success, 1 for findings (done, but somebody has to look), 2 for wrong use.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Annotated, Any, NoReturn
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
from app.mailer.domain.issues import Issue, Severity

OK, FINDINGS, WRONG_USE = 0, 1, 2


class _Output(Console):
    def on_broken_pipe(self) -> None:
        say_the_rest_to_nobody(self.file)


def say_the_rest_to_nobody(stream: IO[str]) -> None:
    """Whoever read has seen enough (`| head`), but the work goes on, and its exit code counts."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


#: Rich takes 80 columns where there is no terminal, which cuts addresses and paths.
_WIDTH = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
out = _Output(width=_WIDTH, highlight=False)
err = _Output(stderr=True, highlight=False)

_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
#: A column with its frame, when it is as narrow as can be read.
_NARROW = 15

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
VersionId = Annotated[
    str | None,
    typer.Option("--version-id", metavar="UUID", help="Else the newest that is built."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON alone, for programs.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Also show what is in order.")]


def run(
    command: Callable[..., int],
    *,
    refused: Callable[[CampaignInvalid], dict[str, object]] | None = None,
) -> NoReturn:
    """Run a command function as a program: `run(main)` at the end of its module.

    `refused` is what `--json` shows of a campaign that cannot be read, where the command has a
    form of its own for it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal of another encoding shows `\\xfc`, where an error would end the work.
            stream.reconfigure(errors="backslashreplace")
    began = False

    @functools.wraps(command)
    def guarded(**arguments: Any) -> NoReturn:
        nonlocal began
        began = True
        as_json = bool(arguments.get("as_json"))
        try:
            code = command(**arguments)
        except CampaignInvalid as error:
            code = FINDINGS
            if as_json:
                print_json((refused or _refused)(error))
            else:
                print_issues(error.issues)
        except MailerError as error:
            code = WRONG_USE
            _complain(error, as_json=as_json)
        except KeyboardInterrupt:
            code = FINDINGS
            _complain(MailerError("Interrupted."), as_json=as_json)
        except Exception as error:
            fault = _database_fault(error)
            if fault is None:
                raise
            code = WRONG_USE
            _complain(fault, as_json=as_json)
        raise SystemExit(code)

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(guarded)
    program = typer.main.get_command(app)
    for option in program.params:
        if getattr(option, "is_flag", False):
            option.metavar = ""  # else --help tells to write a value behind it
    try:
        program()
    except SystemExit as end:
        if not began and end.code and "--json" in sys.argv:
            print_json(
                {
                    "error": "The options are not as this command takes them.",
                    "hint": "Standard error says which one; --help lists them.",
                }
            )
        raise
    raise AssertionError("typer ends the program itself")


def _database_fault(error: Exception) -> MailerError | None:
    """A database that fails in the middle of a command: the driver's words, without any value."""
    database = sys.modules.get("sqlalchemy.exc")  # absent where a command needs no database
    if database is None or not isinstance(error, database.DBAPIError):
        return None
    words = str(error.orig).strip().split("\n")[0]
    return MailerError(
        f"The database could not be used: {words}.",
        "When it answers again, run the same command: it takes up what is missing.",
    )


def _refused(error: CampaignInvalid) -> dict[str, object]:
    return {"error": error.message, "issues": [each.as_dict() for each in error.issues]}


def _complain(error: MailerError, *, as_json: bool) -> None:
    if as_json:
        print_json({"error": error.message, "hint": error.hint})
        return
    err.print(f"[bold red]{coloured(error.message)}[/]", soft_wrap=True)
    if error.hint:
        err.print(coloured(error.hint), soft_wrap=True)


# ---------------------------------------------------------------- JSON


def print_json(value: object) -> None:
    """One JSON document on standard output, and nothing else."""
    _write_out([_json(value, orjson.OPT_INDENT_2), b"\n"])


def print_json_stream(head: Mapping[str, object], key: str, items: Iterable[object]) -> None:
    """`head` with the list `items` under `key`, one item a line and never all in memory."""

    def parts() -> Iterator[bytes]:
        yield _json(head)[:-1]
        yield b"," if head else b""
        yield _json(key) + b":["
        for number, item in enumerate(items):
            yield b",\n" if number else b"\n"
            yield _json(item)
        yield b"\n]}\n"

    _write_out(parts())


def _json(value: object, option: int = 0) -> bytes:
    try:
        return orjson.dumps(value, default=str, option=option)
    except orjson.JSONEncodeError:
        # The name of a file may hold bytes that are no text (PEP 383); `\\udce9` stands for one.
        return json.dumps(value, default=str).encode()


def _write_out(parts: Iterable[bytes]) -> None:
    try:
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.flush()
    except BrokenPipeError:
        say_the_rest_to_nobody(sys.stdout)


# ---------------------------------------------------------------- tables


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
) -> None:
    """A table for people; a cell that is a state gets its colour, and an id is never cut.

    Where the terminal is too narrow for that, each row becomes a paragraph.
    """
    cells = [[coloured(cell) for cell in row] for row in rows]
    with_ids: dict[int, int] = {}
    for row in cells:
        for number, cell in enumerate(row):
            if _UUID.search(cell):
                with_ids[number] = max(with_ids.get(number, 0), len(cell))
    others = len(columns) - len(with_ids)
    if with_ids and out.width < sum(with_ids.values()) + others * _NARROW:
        say(f"[bold]{title}[/]")
        for row in cells:
            say("")
            for column, cell in zip(columns, row, strict=True):
                say(f"{column}: {cell}")
        return
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold",
            min_width=with_ids.get(number),
        )
    for row in cells:
        table.add_row(*row)
    out.print(table)


def coloured(value: object) -> str:
    """A cell's text; states and severities in their colour."""
    text = "" if value is None else str(value)
    colour = _COLOURS.get(text)
    # Control characters in a file name or a server's reply could steer the terminal.
    text = escape("".join(char if char.isprintable() or char == "\n" else "�" for char in text))
    return f"[{colour}]{text}[/]" if colour else text


def letters(count: int, one: str = "", more: str = "") -> str:
    """So many letters, with the verb for one of them or for more."""
    return f"{count} letter {one}".rstrip() if count == 1 else f"{count} letters {more}".rstrip()


def say(text: str) -> None:
    """A line on standard output, never broken; data in it has gone through `coloured`."""
    out.print(text, soft_wrap=True)


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


class Counted:
    """Feeds a bar from the `on_start` and `on_done` of a service, from whichever thread."""

    def __init__(self, bar: Bar, phase: str) -> None:
        self._bar = bar
        self._phase = phase
        self._total = 0
        self._numbers = itertools.count(1)

    def start(self, total: int) -> None:
        self._total = total
        self._bar(self._phase, 0, total)

    def done(self, *_: object) -> None:
        self._bar(self._phase, next(self._numbers), self._total)


def parse_uuid(text: str, option: str) -> UUID:
    """An id as an option gives it; `MailerError` names the option and the value."""
    try:
        return UUID(text)
    except ValueError:
        raise MailerError(
            f"{option}: “{text}” is not an id.",
            "list_db_campaigns shows them: 32 hexadecimal digits in five groups.",
        ) from None
