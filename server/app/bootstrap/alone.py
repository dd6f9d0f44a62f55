"""Being the only sender of an installation without Redis."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from app.mailer.adapters.process_lock import ProcessLock

#: The number of the lock in the database (any that nobody else uses).
_SENDER = 7_302_154_812


class Alone:
    """A lock that one process of the installation has: beside a SQLite file, or in Postgres."""

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._file: ProcessLock | None = None
        self._has_file = False
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            self._file = ProcessLock(Path(f"{parsed.database}.sender.lock"))

    def holds(self) -> bool:
        """Whether it is ours, taken now if it is free. Raises `DBAPIError`, and holds nothing."""
        if self._file is not None:
            self._has_file = self._has_file or self._file.acquire()
            return self._has_file
        try:
            if self._connection is not None:
                # It is held as long as this connection lives.
                self._connection.execute(text("SELECT 1"))
                return True
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if connection.scalar(text("SELECT pg_try_advisory_lock(:n)"), {"n": _SENDER}):
                self._connection = connection
                return True
            connection.close()
            return False
        except DBAPIError:
            self.release()
            raise

    def release(self) -> None:
        if self._file is not None and self._has_file:
            self._file.release()
            self._has_file = False
        if self._connection is not None:
            # Not back into the pool, where the lock would live on.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
