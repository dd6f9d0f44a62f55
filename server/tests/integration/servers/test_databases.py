"""Each test gets a database of its own, migrated, on SQLite and on Postgres."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import create_engine, inspect, text

from tests.servers.postgres import PostgresServer


@pytest.mark.parametrize("_turn", [1, 2])
def test_is_fresh_and_migrated(database_url: str, _turn: int) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        tables = inspect(connection).get_table_names()
        assert "alembic_version" in tables
        assert "left_over" not in tables
        connection.execute(text("CREATE TABLE left_over (id INTEGER)"))
    engine.dispose()


def test_postgres_ends_connections_on_restart(postgres: PostgresServer) -> None:
    url = postgres.new_database(migrated=False)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id INTEGER)")
        postgres.restart(crash=True)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    postgres.drop_database(url)
