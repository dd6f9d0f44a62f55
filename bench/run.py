"""Everything that speed.md and the limits ask of a large campaign, in one run and one table.

    python bench/run.py [--entries 100000] [--keep FOLDER] [--quick] [--postgres] [--json]

First the commands as people type them, each a process of its own, on a tenth of the entries and on
all of them; then ours beside its peers, in interleaved rounds. Exits 1 where a hard limit is
missed: growth, memory, or a folder that is listed twice. A goal that is missed is only shown.
`--keep` leaves the made files, so that the next run begins sooner.
"""

# ruff: noqa: T201 - a bench prints
from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from commands import Cost, Machine, commands
from make_files import campaign, make

#: Ten times the entries may take so many times the time, and so many megabytes.
GROWTH, MEMORY_MB = 12.0, 1000.0
_TENTH = 10


@dataclass(frozen=True)
class Grown:
    """A command on a tenth of the entries and on all: seconds, and what the second took."""

    command: str
    tenth: float
    whole: float
    growth: float
    cpu: float
    peak_mb: float
    met: bool


@dataclass(frozen=True)
class Compared:
    """Ours beside a peer; `ratio` is how many times faster ours is. Without a goal, to know."""

    work: str
    unit: str
    ours: float
    peer: str
    theirs: float
    ratio: float
    goal: float | None
    met: bool | None


@dataclass(frozen=True)
class Counted:
    """A figure with no peer: what it is, how much, and whether its limit holds, if there is one."""

    what: str
    figure: float
    unit: str
    met: bool | None = None


Row = Grown | Compared | Counted


def whole_commands(folder: Path, entries: int, postgres: bool) -> Iterator[Row]:
    """The commands on a tenth and on all: growth and memory, and how often folders are listed."""
    tenth, whole = (made(folder, number) for number in (entries // _TENTH, entries))
    with tempfile.TemporaryDirectory(dir=folder) as place:
        work = Path(place)
        machine = Machine(work)
        machine.run("init_db", "--with-dev-data")
        machine.run("build_messages", "--help")  # compiles the modules
        small: dict[str, Cost] = {}
        for name, command in commands(tenth, work / "eml").items():
            small[name] = machine.run(*command)
            remove(work / "eml")
            yield grown(name, small[name], machine.run(*commands(whole, work / "eml")[name]))
            remove(work / "eml")
        if postgres:
            yield imported_into_postgres(work, tenth, whole)
        yield Counted(
            "start of a command (--help)", machine.run("build_messages", "--help").wall, "s"
        )
        yield from expected_text(machine, tenth, entries // _TENTH, small["validate, with files"])
        yield listed(machine, tenth)


def imported_into_postgres(work: Path, tenth: Path, whole: Path) -> Grown:
    """Import and build on a Postgres of this run's own."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "server"))
    from tests.servers.postgres import PostgresServer  # a package for development

    with PostgresServer(durable=True) as server:
        machine = Machine(work, server.new_database())
        machine.run("init_db", "--with-dev-data")
        small, large = (
            machine.run(*commands(file, work)["import and build"]) for file in (tenth, whole)
        )
    return grown("import and build, Postgres", small, large)


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def grown(command: str, small: Cost, large: Cost) -> Grown:
    """Judges the growth from a tenth of the entries to all of them, and the memory."""
    growth = large.wall / small.wall
    return Grown(
        command,
        small.wall,
        large.wall,
        growth,
        large.cpu,
        large.peak_mb,
        growth <= GROWTH and large.peak_mb <= MEMORY_MB,
    )


def expected_text(machine: Machine, tenth: Path, entries: int, without: Cost) -> Iterator[Row]:
    """What it adds to look for the expected text in every PDF."""
    path = tenth.with_name("expecting.json")
    path.write_text(json.dumps(campaign(expect_text=True)))
    cost = machine.run("validate_campaign", "--campaign", str(path), "--check-files")
    yield Counted("expected text, each PDF", (cost.cpu - without.cpu) / entries * 1000, "ms")
    yield Counted("expected text, memory more", cost.peak_mb - without.peak_mb, "MB")


def listed(machine: Machine, campaign_file: Path) -> Counted:
    """The most often that a folder of the attachments is listed while letters are built."""
    base = campaign_file.resolve().parent / "files"
    counts = machine.scans("build_messages", "--campaign", str(campaign_file))
    below = [count for path, count in counts.items() if Path(path).is_relative_to(base)]
    return Counted("scans of a base's folder", max(below, default=0), "", max(below) == 1)


def peers(entries: int, rounds: int) -> Iterator[Compared]:
    """Validating, resolving and building beside their peers."""
    # Loaded only now: a command's peak memory would start from this process's own.
    import build
    import resolve
    import validate

    found = validate.measure(entries, rounds)
    for peer in ("jsonschema", "jsonschema-rs"):
        goal = validate.GOAL if peer == "jsonschema" else None
        yield compared(f"validate {entries:,}", "s", found["ours"], peer, found[peer], goal)
    for shape, ours, theirs in resolve.measure(entries, sample=10):
        yield compared(
            f"resolve {entries:,}, by the {shape}", "s", ours, "glob", theirs, resolve.GOAL
        )
    for letter, (mine, other) in build.measure(rounds).items():
        yield compared(
            f"build, {letter}", "ms", 1000 / mine, "EmailMessage", 1000 / other, build.GOAL
        )


def compared(
    work: str, unit: str, ours: float, peer: str, theirs: float, goal: float | None
) -> Compared:
    ratio = theirs / ours
    return Compared(
        work, unit, ours, peer, theirs, ratio, goal, None if goal is None else ratio >= goal
    )


def made(folder: Path, entries: int) -> Path:
    """The campaign file of so many entries with their PDFs; made where it is not there yet."""
    place = folder / str(entries)
    if not (place / "campaign.json").exists():
        print(f"Making {entries:,} entries with their PDFs …", file=sys.stderr)
        make(place, entries)
    return place / "campaign.json"


def show(row: Row) -> str:
    mark = {True: "yes", False: "NO", None: ""}[row.met]
    if isinstance(row, Grown):
        return (
            f"{row.command:<40} {row.tenth:8.2f} s {row.whole:9.2f} s {row.growth:8.1f}x "
            f"{row.cpu:8.1f} s {row.peak_mb:6.0f} MB  {mark}"
        )
    if isinstance(row, Counted):
        return f"{row.what:<40} {row.figure:8.2f} {row.unit:<46} {mark}"
    goal = f"{row.goal:g}" if row.goal else "-"
    return (
        f"{row.work:<40} {row.ours:8.3f} {row.unit:<2} {row.theirs:8.3f} {row.unit:<2} "
        f"{row.peer:<14} {row.ratio:7.1f}x {goal:>5}       {mark}"
    )


def title(row: Row) -> str:
    if isinstance(row, Grown):
        return (
            f"{'command':<40} {'a tenth':>10} {'all':>11} {'growth':>9} {'cpu':>10} {'peak':>9}  "
            f"limits met ({GROWTH:g}x, {MEMORY_MB:g} MB)"
        )
    if isinstance(row, Counted):
        return f"{'figure':<40}"
    return (
        f"{'work':<40} {'ours':>11} {'peer':>11} {'':<14} {'ratio':>8} {'goal':>5}       goal met"
    )


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="multimailer-bench-") as name:
        yield Path(name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--entries", type=int, help="default: 100000, with --quick 5000")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the made files there")
    parser.add_argument("--quick", action="store_true", help="fewer entries and one round")
    parser.add_argument("--postgres", action="store_true", help="also import into Postgres")
    parser.add_argument("--json", action="store_true", help="print JSON alone, for programs")
    chosen = parser.parse_args()
    entries = max(_TENTH, chosen.entries or (5_000 if chosen.quick else 100_000))

    rows: list[Row] = []
    failed = False
    if not chosen.json:
        print(f"{entries:,} entries, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with folder_of(chosen.keep) as folder:
        for row in chain(
            whole_commands(folder, entries, chosen.postgres),
            peers(entries, 1 if chosen.quick else 3),
        ):
            if not chosen.json:
                if not rows or type(rows[-1]) is not type(row):
                    print(f"\n{title(row)}")
                print(show(row), flush=True)
            rows.append(row)
            failed |= row.met is False and not isinstance(row, Compared)
    if chosen.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
