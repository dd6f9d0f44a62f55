"""Joins Alembic to the models and the database; `app.db.migrations` hands in a URL of its own."""

from __future__ import annotations

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON, Connection

import app.db.models  # noqa: F401 - makes the metadata whole
from app.db.base import Base, JsonDocument, UtcDateTime
from app.db.session import make_engine
from app.settings import get_settings

#: Any number that nothing else locks.
_MIGRATING = 7_305_001


def _plain_type(kind: str, item: object, autogenerate: AutogenContext) -> str | bool:
    """Migrations name SQLAlchemy's types only, so that they outlive our code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, JsonDocument):
        return "sa.Text()"
    if kind == "type" and isinstance(item, JSON):
        autogenerate.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def _migrate(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    if sqlite:
        # A changed table is made anew, and dropping the old one would delete what refers to it.
        # The pragma does nothing within a transaction, hence the driver's own connection.
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("PRAGMA foreign_keys = OFF")
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=sqlite,
        render_item=_plain_type,
        transactional_ddl=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        if not sqlite:
            # Services that start at once migrate one after another; the later finds nothing to do.
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
            # A migration that waits for a lock holds up everybody behind it: better to fail.
            connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
            connection.exec_driver_sql("SET LOCAL statement_timeout = '10min'")
        context.run_migrations()
        if sqlite and (broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all()):
            raise RuntimeError(f"The migration leaves rows that refer to nothing: {broken[:5]}")


def _run() -> None:
    url = context.config.attributes.get("url") or get_settings().database_url
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            _migrate(connection)
    finally:
        engine.dispose()


if context.is_offline_mode():
    raise SystemExit("Migrations need a database to look at: --sql is not supported.")
_run()
