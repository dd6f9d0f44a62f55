"""Nobody reaches what belongs to another tenant, whichever service is asked for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, inspect, text

from app.db.base import Base, OfTenant
from app.mailer.domain.errors import MailerError, NotFound
from tests.integration.services.access.conftest import Estate

#: What answers a stranger at all: with nothing, or with what is the stranger's own.
_OWN = {"list_campaigns", "list_entries", "import_campaign", "verify_audit"}


def _rows(estate: Estate) -> dict[str, list[str]]:
    """Every row of the first tenant, by table."""
    engine = estate.house.sessions.kw["bind"]
    owner = estate.house.actor.tenant_id
    found: dict[str, list[str]] = {}
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            rows = connection.execute(text(f'select * from "{table}"')).mappings()
            found[table] = sorted(
                str(dict(row))
                for row in rows
                if str(row.get("tenant_id", row.get("id", ""))).replace("-", "") == owner.hex
            )
    return found


def test_a_stranger_who_knows_all_ids_gets_nothing_and_changes_nothing(estate: Estate) -> None:
    calls = estate.calls()
    stranger = estate.stranger()
    before = _rows(estate)
    assert sum(map(len, before.values())) > 15
    for name, call in calls.items():
        estate.sent.clear()
        try:
            answer = call(stranger)
        except NotFound:
            assert name not in _OWN, name
        else:
            assert name in _OWN, name
            assert name in {"import_campaign", "verify_audit"} or not answer, name
        assert _rows(estate) == before, name
        assert not [each for each in estate.sent if each == "a letter"], name


def test_the_same_campaign_id_in_two_tenants_is_two_campaigns(estate: Estate) -> None:
    stranger = estate.stranger()
    theirs = estate.calls()["import_campaign"](stranger)
    assert theirs.campaign_id != estate.campaign_id
    assert theirs.version_number == 1


# -- every statement


_TENANT_TABLES = {
    mapper.local_table.name  # type: ignore[attr-defined]
    for mapper in Base.registry.mappers
    if issubclass(mapper.class_, OfTenant)
}
_TABLE = re.compile(r'\b(?:FROM|JOIN|UPDATE|INTO)\s+"?(\w+)"?', re.IGNORECASE)
_NAMES_TENANT = re.compile(r"tenant_id\s*(?:=|,|\)|IS|IN)", re.IGNORECASE)
#: What SQLAlchemy says by itself to store a row that was found by its tenant, and changed.
_OF_FOUND_ROW = re.compile(r"UPDATE (\w+) SET .* WHERE \1\.id = \S+", re.DOTALL)


@contextmanager
def _watched(estate: Estate) -> Iterator[list[str]]:
    engine = estate.house.sessions.kw["bind"]
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_every_statement_on_a_tenants_rows_names_the_tenant(estate: Estate) -> None:
    with _watched(estate) as statements:
        for call in estate.calls().values():
            try:
                call(estate.house.actor)
            except MailerError:
                continue  # a move that is not possible now; what it asked for was watched
    touched = {table for each in statements for table in _TABLE.findall(each)}
    assert {"jobs", "job_messages", "issues", "attachments", "audit_entries"} <= touched
    for statement in statements:
        tables = _TENANT_TABLES & set(_TABLE.findall(statement))
        if tables and not _OF_FOUND_ROW.fullmatch(statement):
            conditions = statement if statement.startswith("INSERT") else _conditions(statement)
            assert _NAMES_TENANT.search(conditions), statement


def _conditions(statement: str) -> str:
    return statement[statement.upper().index("WHERE") :] if "WHERE" in statement.upper() else ""
