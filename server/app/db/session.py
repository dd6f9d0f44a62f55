"""Engines and sessions: the same promises on SQLite and Postgres.

A transaction that may write begins as a writer on SQLite (`BEGIN IMMEDIATE`): two that began as
readers and then both want to write could only fail. `reading` gives sessions that cannot write and
never wait for a writer.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session, sessionmaker

from app.mailer.domain.errors import ConfigurationError

#: Seconds that a writer waits for another one on SQLite.
BUSY_SECONDS = 30
_READ_ONLY = "read_only"

#: The database does not answer, or all its connections are taken for longer than anybody waits.
DATABASE_AWAY = (DBAPIError, NoConnection)


def make_engine(url: str) -> Engine:
    """An engine for `sqlite:///file` or `postgresql+psycopg://…`.

    A SQLite file is made where it is absent, readable by its owner alone. Parameters of statements
    never show in errors or logs, since they hold addresses and letters.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    return create_engine(
        parsed,
        hide_parameters=True,
        pool_pre_ping=True,
        # More than a process has threads, so that none waits for another one's connection.
        pool_size=10,
        max_overflow=40,
        pool_timeout=10,
        connect_args={
            "application_name": "multimailer",
            "connect_timeout": 10,
            # A server set to acknowledge commits before they are on disk would break the promise.
            # And who waits longer for a lock waits for somebody who froze while holding it.
            "options": "-c timezone=UTC -c synchronous_commit=on -c lock_timeout=15s",
        },
    )


def what_is_away(error: Exception) -> object:
    """What to log of one of `DATABASE_AWAY`: what the driver said, without the statement."""
    return getattr(error, "orig", None) or error


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions that may write; whoever opens one commits it."""
    return sessionmaker(engine, expire_on_commit=False)


def reading(engine: Engine) -> sessionmaker[Session]:
    """Sessions for reports and lists: one snapshot that no writer waits for; a write is refused."""
    reader = engine.execution_options(
        **{_READ_ONLY: True, "postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}
        if engine.dialect.name == "postgresql"
        else {_READ_ONLY: True}
    )
    return sessionmaker(reader, expire_on_commit=False)


def _sqlite_engine(url: URL) -> Engine:
    if sqlite3.sqlite_version_info < (3, 35):
        raise ConfigurationError(
            f"This Python has SQLite {sqlite3.sqlite_version}; at least 3.35 is needed.",
            "Use a newer Python, or Postgres by DATABASE_URL.",
        )
    if url.database and url.database != ":memory:":
        _make_private_file(Path(url.database))
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=10,
        max_overflow=20,
        connect_args={"timeout": BUSY_SECONDS},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"The database file {path} cannot be opened: {error.strerror}.",
            "DATABASE_URL must name a file in a folder that this user may write to.",
        ) from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions by itself, and as a reader; `_begin_sqlite` does it.
    connection.isolation_level = None
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "journal_mode = WAL",
        # NORMAL may lose the last commits when the power fails, and "sent" is such a commit.
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    read_only = bool(connection.get_execution_options().get(_READ_ONLY))
    connection.exec_driver_sql(f"PRAGMA query_only = {int(read_only)}")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
