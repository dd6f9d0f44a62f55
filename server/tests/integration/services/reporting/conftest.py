"""A campaign with jobs in a fresh database of each kind, and somebody who may do things to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, select, update
from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor
from app.access.scopes import Scope
from app.audit import list_entries, record
from app.db.models import AuditEntry, CampaignVersion, Job, Tenant, WorkflowState
from app.db.repositories import access, campaigns, jobs, versions
from app.db.repositories.jobs import NewJob
from app.db.session import make_engine, session_factory
from app.mailer.services.approve_version import approve_version
from tests.integration.db.conftest import NOW, new_job, new_version
from tests.integration.services.reporting.evidence import CANARY, Sent
from tests.integration.services.sending.house import House, letter, make_house
from tests.servers.smtp import SmtpServer

__all__ = ["CONFIG", "NOW", "Desk", "new_job"]

CONFIG: dict[str, Any] = {
    "version": "1.0",
    "campaign": {"id": "spring", "name": "Spring", "mode": "send"},
    "recipients": {"from": "Office <office@example.org>"},
    "template": {"subject": "Hello", "text": "Hello"},
    "delivery": {"rate_limit": {"messages_per_minute": 10, "concurrency": 2}},
}


@dataclass(frozen=True)
class Desk:
    """One campaign's database, for tests to fill and to look into."""

    sessions: sessionmaker[Session]
    tenant_id: UUID
    campaign_id: UUID

    def actor(self, *scopes: str) -> Actor:
        return Actor.system(self.tenant_id, "Ada", scopes or (Scope.EVERYTHING,))

    def add_version(self, *new: NewJob, config: dict[str, Any] | None = None) -> UUID:
        with self.sessions() as session:
            version = new_version(self.campaign_id)
            version.config = CONFIG if config is None else config
            version.mode = version.config["campaign"]["mode"]
            version.built_at = NOW
            # Some of its jobs may stand as if it had been queued.
            version.workflow_state = WorkflowState.QUEUED
            versions.add(session, self.tenant_id, version)
            jobs.add_all(session, self.tenant_id, self.campaign_id, version.id, new)
            session.commit()
            return version.id

    def change(self, version_id: UUID, entry_ids: Iterable[str], **values: object) -> None:
        with self.sessions() as session:
            session.execute(
                update(Job)
                .where(Job.version_id == version_id, Job.entry_id.in_(list(entry_ids)))
                .values(**values)
            )
            session.commit()

    def jobs(self, version_id: UUID) -> dict[str, Job]:
        with self.sessions() as session:
            found = session.scalars(
                select(Job).where(Job.version_id == version_id).order_by(Job.position)
            )
            return {job.entry_id: job for job in found}

    def version(self, version_id: UUID) -> CampaignVersion:
        with self.sessions() as session:
            return versions.get(session, self.tenant_id, version_id)

    def audit(self) -> list[AuditEntry]:
        with self.sessions() as session:
            return list(list_entries(session, self.actor()))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def desk(engine: Engine) -> Desk:
    sessions = session_factory(engine)
    with sessions() as session:
        tenant = access.add_tenant(session, Tenant(slug="acme", name="Acme", created_at=NOW))
        campaign = campaigns.put(
            session, tenant.id, external_id="spring", name="Spring", description="", now=NOW
        )
        session.commit()
        return Desk(sessions, tenant.id, campaign.id)


@pytest.fixture
def stranger(desk: Desk) -> Desk:
    """Somebody of another tenant who knows the campaign's id."""
    with desk.sessions() as session:
        tenant = access.add_tenant(session, Tenant(slug="other", name="Other", created_at=NOW))
        session.commit()
        return Desk(desk.sessions, tenant.id, desk.campaign_id)


@pytest.fixture
def statements(engine: Engine) -> Callable[[], AbstractContextManager[list[str]]]:
    """Notes the SELECTs within `with statements() as seen`."""

    @contextmanager
    def watch() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            if statement.lstrip().upper().startswith("SELECT"):
                seen.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            event.remove(engine, "before_cursor_execute", note)

    return watch


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    yield from make_house(request.getfixturevalue(f"{request.param}_url"), tmp_path)


@pytest.fixture
def sent(house: House, smtp_server: SmtpServer) -> Sent:
    """A campaign of three letters with a file each, approved; two were sent."""
    (house.folder / "files").mkdir()
    for number in range(3):
        (house.folder / "files" / f"card-e{number}.txt").write_text(f"card {number}\n" * 50)
    document = letter(
        smtp_server.port,
        server={
            "smtp": {
                "host": "127.0.0.1",
                "port": smtp_server.port,
                "security": "plain",
            },
            "imap": {"host": "127.0.0.1", "port": 9, "username": "u", "password": CANARY},
        },
        fields=[{"name": "pin", "type": "secret"}, {"name": "key"}],
        attachments={"base_path": "files", "global": [{"file_filter": "card-${local::key}.txt"}]},
        entries={
            "inline": [
                {
                    "id": f"e{n}",
                    "to": [f"p{n}@example.org"],
                    "values": {"pin": CANARY, "key": f"e{n}"},
                }
                for n in range(3)
            ]
        },
    )
    version = house.build(document)
    with house.sessions() as session:
        record(session, house.actor, "user.created", "user", "somebody else", {}, house.clock.now())
        approve_version(
            session,
            house.actor,
            version.campaign_id,
            version.version_id,
            reason="looked at all",
            now=house.clock.now(),
        )
        session.commit()
    house.queue(version.campaign_id)
    house.send(version.campaign_id, limit=2)
    return house, version.campaign_id, version.version_id
