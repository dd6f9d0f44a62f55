"""Opens a source of recipients by its type."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from app.mailer.adapters.sources.csv_table import csv_table
from app.mailer.adapters.sources.json_table import json_table, jsonl_table
from app.mailer.adapters.sources.problem import Problem, refused
from app.mailer.adapters.sources.xlsx_table import xlsx_table
from app.mailer.domain.campaign import Source, SourceType
from app.mailer.domain.entries.rows import Table
from app.mailer.ports import FileFault

MAX_BYTES = 256 * 1024 * 1024

_READERS: dict[SourceType, Callable[[bytes, Source], Table]] = {
    "csv": csv_table,
    "xlsx": xlsx_table,
    "json": json_table,
    "jsonl": jsonl_table,
}


def open_source(path: Path, source: Source) -> Table:
    """Opens the table at `path`; `source` says how to read it, and its `path` names it in issues.

    Never raises for what a file can be: what is wrong is in the table's `issues`
    (`missing-file`, `unreadable-file`, `wrong-encoding`, `bad-source`). The file is read once,
    at most 256 MB, and closed before this returns; its rows are decoded as they are asked for.
    """
    return read_source(source, lambda: _regular_bytes(path, source.path))


def read_source(source: Source, read: Callable[[], bytes]) -> Table:
    """As `open_source`, for bytes that `read` gives, or `FileFault` where it cannot."""
    try:
        if source.kind is None:
            raise Problem(
                "bad-source",
                source.path,
                f"The ending of {source.path} does not say what kind of table it is.",
                "Save it as CSV or XLSX, or say `entries.source.type`: csv, xlsx, json or jsonl.",
            )
        data = read()
        if not data:
            name = source.path
            raise Problem("bad-source", name, f"{name} is empty.", "Save the table again.")
        return _READERS[source.kind](data, source)
    except Problem as problem:
        return refused(problem.issue)
    except FileFault as fault:
        return refused(Problem(fault.code, "/entries/source/path", fault.message, fault.hint).issue)


def _regular_bytes(path: Path, name: str) -> bytes:
    """The bytes of a regular file. A pipe would block on opening, and a device might never end."""
    try:
        with open(path, "rb", opener=_without_blocking) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Problem(
                    "unreadable-file", name, f"{name} is not a regular file.", "Name a file."
                )
            if status.st_size > MAX_BYTES:
                raise Problem(
                    "bad-source",
                    name,
                    f"{name} is {status.st_size / 1024**2:.0f} MB large; the limit is "
                    f"{MAX_BYTES // 1024**2} MB.",
                    "Split it into several campaigns.",
                )
            return file.read(MAX_BYTES)
    except OSError as error:
        raise _not_opened(error, name) from error


def _without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _not_opened(error: OSError, name: str) -> Problem:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Problem(
            "missing-file",
            name,
            f"There is no file {name}.",
            "Paths are relative to the campaign file; capitals and small letters differ.",
        )
    return Problem(
        "unreadable-file",
        name,
        f"{name} cannot be read: {error.strerror}.",
        "Check the permissions of the file and its folder.",
    )
