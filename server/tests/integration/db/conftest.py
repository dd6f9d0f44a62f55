"""Sessions on a fresh migrated database of each kind, and rows that most tests need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from app.db.models import Campaign, CampaignVersion, Tenant
from app.db.repositories import access, campaigns, versions
from app.db.repositories.jobs import NewJob
from app.db.session import make_engine, session_factory
from app.mailer.domain.issues import EntryState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return session_factory(engine)


@pytest.fixture
def session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    with sessions() as session:
        yield session


@pytest.fixture
def tenant(session: Session) -> Tenant:
    tenant = access.add_tenant(session, Tenant(slug="acme", name="Acme", created_at=NOW))
    session.commit()
    return tenant


@pytest.fixture
def other_tenant(session: Session) -> Tenant:
    tenant = access.add_tenant(session, Tenant(slug="other", name="Other", created_at=NOW))
    session.commit()
    return tenant


@pytest.fixture
def campaign(session: Session, tenant: Tenant) -> Campaign:
    campaign = campaigns.put(
        session, tenant.id, external_id="spring", name="Spring", description="", now=NOW
    )
    session.commit()
    return campaign


@pytest.fixture
def version(session: Session, tenant: Tenant, campaign: Campaign) -> CampaignVersion:
    version = versions.add(session, tenant.id, new_version(campaign.id))
    session.commit()
    return version


def new_version(campaign_id: UUID) -> CampaignVersion:
    return CampaignVersion(
        campaign_id=campaign_id,
        mode="send",
        config={"version": "1.0"},
        config_sha256="0" * 64,
        created_at=NOW,
        created_by="Ada",
    )


@pytest.fixture
def new_job() -> Callable[..., NewJob]:
    def make(position: int, **values: object) -> NewJob:
        given: dict[str, object] = {
            "id": uuid4(),
            "position": position,
            "entry_id": f"e{position}",
            "pointer": f"/entries/inline/{position}",
            "build_status": EntryState.READY,
            "recipients": (f"p{position}@example.org",),
        }
        return NewJob(**(given | values))  # type: ignore[arg-type]

    return make
