from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from app.db.models import Campaign, Tenant
from app.db.session import make_engine, reading, session_factory
from app.mailer.domain.errors import ConfigurationError
from tests.integration.db.conftest import NOW


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_sqlite_is_set_to_lose_nothing(sqlite_url: str) -> None:
    engine = make_engine(sqlite_url)
    assert pragma(engine, "journal_mode") == "wal"
    assert pragma(engine, "synchronous") == 2, "FULL"
    assert pragma(engine, "foreign_keys") == 1
    assert pragma(engine, "busy_timeout") == 30_000
    engine.dispose()


def test_postgres_is_set_to_lose_nothing(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    with engine.connect() as connection:
        shown = {
            name: connection.execute(text(f"SHOW {name}")).scalar()
            for name in ("synchronous_commit", "timezone", "application_name", "statement_timeout")
        }
    engine.dispose()
    assert shown == {
        "synchronous_commit": "on",
        "timezone": "UTC",
        "application_name": "multimailer",
        "statement_timeout": "0",
    }


def test_a_new_sqlite_file_is_private_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "var" / "deep" / "x.db"
    before = os.umask(0)
    try:
        engine = make_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t (x)")
            for file in path.parent.iterdir():
                assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
        engine.dispose()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_unusable_sqlite_path_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/x\.db cannot be opened"):
        make_engine(f"sqlite:///{tmp_path}/file/x.db")


def test_foreign_keys_hold(session: Session) -> None:
    session.add(
        Campaign(
            tenant_id=uuid4(),
            external_id="x",
            name="x",
            description="",
            created_at=NOW,
            updated_at=NOW,
        )
    )
    with pytest.raises(IntegrityError):
        session.flush()


def test_parameters_stay_out_of_errors(session: Session, tenant: Tenant) -> None:
    session.add(Tenant(slug=tenant.slug, name="secret name", created_at=NOW))
    with pytest.raises(IntegrityError) as caught:
        session.flush()
    assert "secret name" not in str(caught.value)


def test_readers_cannot_write(engine: Engine, tenant: Tenant) -> None:
    with reading(engine)() as session:
        found = session.scalars(select(Tenant)).one()
        found.name = "changed"
        with pytest.raises(SQLAlchemyError, match=r"read-?only"):
            session.flush()
    with session_factory(engine)() as session:  # the same connection may write again
        session.scalars(select(Tenant)).one().name = "changed"
        session.commit()


def test_a_reader_sees_one_state_and_holds_nobody_up(engine: Engine, tenant: Tenant) -> None:
    with reading(engine)() as reader, session_factory(engine)() as writer:
        assert reader.scalars(select(Tenant.name)).one() == "Acme"
        writer.scalars(select(Tenant)).one().name = "changed"
        writer.commit()
        assert reader.scalars(select(Tenant.name)).one() == "Acme"


def test_two_that_read_and_then_write_take_turns(
    sessions: sessionmaker[Session], tenant: Tenant
) -> None:
    """With plain BEGIN on SQLite the second would fail at once: it read before the first wrote."""
    failures: list[Exception] = []

    def rename() -> None:
        try:
            for _ in range(5):
                with sessions.begin() as session:
                    query = select(Tenant).where(Tenant.id == tenant.id).with_for_update()
                    found = session.scalars(query).one()
                    time.sleep(0.002)
                    found.name += "x"
        except SQLAlchemyError as error:
            failures.append(error)

    threads = [threading.Thread(target=rename) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with sessions() as session:
        assert session.scalars(select(Tenant.name)).one() == "Acme" + "x" * 20


def test_a_rollback_takes_everything_back(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        session.add(Tenant(slug="gone", name="Gone", created_at=NOW))
        session.flush()
        with session.begin_nested() as nested:
            session.add(Tenant(slug="gone2", name="Gone", created_at=NOW))
            session.flush()
            nested.rollback()
        assert session.scalars(select(Tenant.slug)).all() == ["gone"]
        session.rollback()
        assert session.scalars(select(Tenant)).all() == []
