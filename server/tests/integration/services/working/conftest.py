"""A tenant with campaigns, on a database of each kind, and workers in threads and processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.access.actor import Actor
from app.bootstrap.program import Program
from app.db.models import Operation, OperationStatus, Tenant
from app.db.repositories import operations
from app.mailer.services.import_campaign import Imported, import_campaign
from app.mailer.services.operations import Kind, start_operation
from app.mailer.services.work import Work, Worker
from app.settings import Settings
from tests.e2e.scratch import environment
from tests.integration.services.pipeline.desk import document, entry

SERVER = Path(__file__).resolve().parents[4]


@dataclass
class Shop:
    """Where work is put down and done."""

    program: Program
    folder: Path
    actor: Actor
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def take(self, count: int = 1, **parts: Any) -> Imported:
        """A campaign of so many entries."""
        parts = {"entries": {"inline": [entry(number) for number in range(count)]}, **parts}
        with self.program.sessions() as session:
            imported = import_campaign(
                session,
                self.actor,
                json.dumps(document(**parts)).encode(),
                folder=str(self.folder),
                source_filename="campaign.json",
                clock=self.program.clock,
                box=self.program.box,
            )
            session.commit()
        return imported

    def put_down(self, kind: Kind, version_id: UUID | None = None, **request: Any) -> UUID:
        with self.program.sessions() as session:
            operation = start_operation(
                session,
                self.actor,
                kind,
                now=self.program.clock.now(),
                request=request,
                version_id=version_id,
            )
            session.commit()
            return operation.id

    def look(self, operation_id: UUID) -> Operation:
        with self.program.reading() as session:
            return operations.get(session, self.actor.tenant_id, operation_id)

    def until(
        self,
        operation_id: UUID,
        wanted: Callable[[Operation], bool],
        *,
        seconds: float = 30.0,
    ) -> Operation:
        """The operation as soon as it is as wanted."""
        end = time.monotonic() + seconds
        while not wanted(found := self.look(operation_id)):
            assert time.monotonic() < end, (found.status, found.phase, found.done, found.problem)
            time.sleep(0.02)
        return found

    def ended(self, operation_id: UUID, seconds: float = 30.0) -> Operation:
        live = (OperationStatus.QUEUED, OperationStatus.RUNNING)
        return self.until(operation_id, lambda each: each.status not in live, seconds=seconds)

    def worker(
        self, name: str = "w", works: Mapping[Kind, Work] | None = None, **more: Any
    ) -> Worker:
        """A worker of this process."""
        if works is None:
            return self.program.worker(name, more.get("shutdown", threading.Event()))
        return Worker(
            self.program.sessions,
            self.program.reading,
            self.program.clock,
            name,
            works,
            **{"shutdown": threading.Event(), **more},
        )

    def process(self, *options: str, **env: str) -> subprocess.Popen[bytes]:
        """A worker that is a process of its own."""
        settings = self.program.settings
        started = subprocess.Popen(
            [sys.executable, "-m", "app.mailer.commands.run_operations", *options],
            cwd=SERVER,
            env=environment(
                DATABASE_URL=settings.database_url,
                BLOB_DIR=str(settings.blob_dir),
                JOURNAL_DIR=str(settings.journal_dir),
                **env,
            ),
            stdin=subprocess.PIPE,
        )
        self.processes.append(started)
        return started

    def expire(self, operation_id: UUID) -> None:
        """Have the lease of an operation run out now, so that no test waits for that."""
        with self.program.sessions() as session:
            found = operations.get(session, self.actor.tenant_id, operation_id)
            found.lease_until = found.created_at
            session.commit()

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.kill()
                process.wait()
        self.program.stop()


@pytest.fixture
def shop(database_url: str, tmp_path: Path) -> Iterator[Shop]:
    program = Program(
        Settings(
            database_url=database_url,
            blob_dir=tmp_path / "blobs",
            journal_dir=tmp_path / "journal",
        )
    )
    with program.sessions() as session:
        tenant = Tenant(slug="acme", name="Acme", created_at=program.clock.now())
        session.add(tenant)
        session.commit()
    folder = tmp_path / "campaign"
    folder.mkdir()
    made = Shop(program, folder, Actor.system(tenant.id, "Ada", ["*"]))
    yield made
    made.close()
