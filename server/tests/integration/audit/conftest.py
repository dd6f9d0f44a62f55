"""A tenant in a fresh database of each kind, and somebody there who may read the log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.access import Actor, ActorKind, Scope
from app.db.models import Tenant
from app.db.repositories import access
from app.db.session import make_engine, session_factory

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with session_factory(engine)() as session:
        yield session


def actor_of(session: Session, slug: str) -> Actor:
    tenant = access.add_tenant(session, Tenant(slug=slug, name=slug, created_at=NOW))
    session.commit()
    scopes = frozenset({Scope.AUDIT_READ})
    return Actor(tenant.id, ActorKind.API_KEY, "key-1", "Ada", scopes, address="192.0.2.7")
