from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import CheckConstraint, Engine, inspect

from app.db import migrations
from app.db.base import Base
from app.db.session import make_engine


def checks_of_models() -> dict[str, set[str]]:
    """Each CHECK by name, with the words that it allows."""
    found = {}
    for table in Base.metadata.tables.values():
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint):
                text = str(constraint.sqltext.compile(compile_kwargs={"literal_binds": True}))
                found[str(constraint.name)] = words(text)
    return found


def words(text: str) -> set[str]:
    return set(re.findall(r"'([^']*)'", text))


def tables(url: str) -> set[str]:
    engine = make_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_models_equal_migrations(database_url: str) -> None:
    migrations.check(database_url)


def test_check_constraints_equal_migrations(engine: Engine) -> None:
    inspector = inspect(engine)
    found: dict[str, set[str]] = {}
    for table in Base.metadata.tables:
        constraint: Any
        for constraint in inspector.get_check_constraints(table):
            found[constraint["name"]] = words(constraint["sqltext"])
    assert found == checks_of_models()
    assert found["ck_jobs_imap_status"] == {"not_requested", "pending", "appended", "failed"}


def test_down_and_up_again(database_url: str) -> None:
    migrations.downgrade(database_url)
    assert tables(database_url) == {"alembic_version"}
    migrations.upgrade(database_url)
    assert tables(database_url) == {"alembic_version", *Base.metadata.tables}
    migrations.check(database_url)


def test_step_by_step(database_url: str) -> None:
    steps = len(list((Path(__file__).parents[3] / "alembic/versions").glob("0*.py")))
    for _ in range(steps):
        migrations.downgrade(database_url, "-1")
    assert tables(database_url) == {"alembic_version"}
    for _ in range(steps):
        migrations.upgrade(database_url, "+1")
    migrations.check(database_url)


def test_upgrading_the_newest_changes_nothing(database_url: str) -> None:
    before = tables(database_url)
    migrations.upgrade(database_url)
    assert tables(database_url) == before


def test_a_migration_that_breaks_references_is_undone(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(sqlite_url)
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(
            "INSERT INTO audit_counters (tenant_id, last, hash) VALUES ('nobody', 1, '')"
        )
        connection.commit()
    engine.dispose()
    with pytest.raises(RuntimeError, match="refer to nothing"):
        migrations.downgrade(sqlite_url, "-1")
    assert "jobs" in tables(sqlite_url), "the step was rolled back as a whole"
