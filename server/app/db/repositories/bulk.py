"""Many rows at once: `COPY` on Postgres, which takes half the time, else one prepared INSERT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection as PsycopgConnection
from psycopg import sql
from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from app.db.base import Base


def insert_rows(session: Session, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Inserts `rows`, which all have the same keys; the database's own defaults fill the rest."""
    if not rows:
        return
    table = model.__table__
    assert isinstance(table, Table)
    connection = session.connection()
    driver = connection.connection.driver_connection
    if not isinstance(driver, PsycopgConnection):
        connection.execute(insert(table), rows)
        return
    names = list(rows[0])
    dialect = connection.dialect
    to_driver = [
        table.c[name].type.dialect_impl(dialect).bind_processor(dialect) or _unchanged
        for name in names
    ]
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(
                [convert(row[name]) for name, convert in zip(names, to_driver, strict=True)]
            )


def _unchanged(value: Any) -> Any:
    return value
