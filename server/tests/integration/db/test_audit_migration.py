"""Entries that were recorded before the log was a chain become one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, insert, text, update
from sqlalchemy.orm import Session

from app.access import Actor, Scope
from app.audit import record
from app.db import migrations
from app.db.base import Base
from app.db.models import AuditCounter, Tenant
from app.db.session import make_engine
from app.mailer.services.verify_audit import verify_audit
from tests.integration.db.conftest import NOW

ENTRIES = Base.metadata.tables["audit_entries"]
#: More than the migration takes at a time.
MANY = 2_100


@pytest.fixture
def old(database_url: str) -> Iterator[tuple[Engine, UUID, UUID]]:
    """A database as it was before, with a long log, a short one and an empty one."""
    migrations.downgrade(database_url, "0005")
    engine = make_engine(database_url)
    tenants = [uuid4(), uuid4(), uuid4()]
    columns = [column for column in ENTRIES.columns if column.name not in NEW]
    with engine.begin() as connection:
        connection.execute(
            insert(Tenant),
            [{"id": each, "slug": str(each), "name": "n", "created_at": NOW} for each in tenants],
        )
        for tenant, count in ((tenants[0], MANY), (tenants[1], 1)):
            rows = [
                {
                    "id": uuid4(),
                    "tenant_id": tenant,
                    "sequence": number,
                    "at": NOW + timedelta(microseconds=number),
                    "actor_kind": "user",
                    "actor_id": "u",
                    "actor_name": "Ada Lövelace",
                    "action": "a",
                    "object_type": "t",
                    "object_id": str(number),
                    "details": {"z": 1e300, "a": 1.10, "ü": ["\u2028", None, 2**60]},
                }
                for number in range(1, count + 1)
            ]
            assert rows[0].keys() == {column.name for column in columns}
            connection.execute(insert(ENTRIES), rows)
            connection.execute(
                text("INSERT INTO audit_counters (tenant_id, last) VALUES (:tenant, :last)"),
                {
                    "tenant": tenant if engine.dialect.name == "postgresql" else tenant.hex,
                    "last": count,
                },
            )
    yield engine, tenants[0], tenants[1]
    engine.dispose()


NEW = {"address", "before", "after", "previous_hash", "hash"}


def proved(session: Session, tenant: UUID) -> int:
    found = verify_audit(session, Actor.system(tenant, "Ada", [Scope.AUDIT_READ]))
    assert found.broken is None
    return found.checked


def test_old_entries_become_a_chain(database_url: str, old: tuple[Engine, UUID, UUID]) -> None:
    engine, long, short = old
    migrations.upgrade(database_url)
    migrations.check(database_url)
    with Session(engine) as session:
        assert (proved(session, long), proved(session, short)) == (MANY, 1)
        record(session, Actor.system(long, "Ada"), "a", "t", 1, {}, NOW)
        session.commit()
        assert proved(session, long) == MANY + 1


def test_a_step_that_was_broken_off_can_be_taken_again(
    database_url: str, old: tuple[Engine, UUID, UUID]
) -> None:
    engine, long, short = old
    migrations.upgrade(database_url, "0006")
    with engine.begin() as connection:
        connection.execute(update(ENTRIES).where(ENTRIES.c.sequence > 1_500).values(hash=""))
        connection.execute(update(AuditCounter).values(hash=""))
        connection.execute(text("UPDATE alembic_version SET version_num = '0005'"))
    migrations.upgrade(database_url)
    migrations.check(database_url)
    with Session(engine) as session:
        assert (proved(session, long), proved(session, short)) == (MANY, 1)
