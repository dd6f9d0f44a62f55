"""Every service about people asks for its scope, and for no other; strangers find nothing."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, inspect, text

from app.access.scopes import Scope
from app.db.base import Base, OfTenant
from app.mailer.domain.errors import AccessDenied, NotFound
from app.mailer.services.people import sessions
from tests.integration.services.people.conftest import NOW, Office

#: What answers a stranger at all, with what is the stranger's own.
_OWN = {
    *("page_users", "page_groups", "page_roles", "page_keys", "get_tenant"),
    *("create_group", "create_role", "make_key", "update_tenant"),
}


def rows(office: Office) -> dict[str, list[str]]:
    """Every row of the tenant, by table."""
    found: dict[str, list[str]] = {}
    with office.engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            every = connection.execute(text(f'select * from "{table}"')).mappings()
            found[table] = sorted(
                str(dict(row))
                for row in every
                if str(row.get("tenant_id", row.get("id", ""))).replace("-", "")
                == office.tenant_id.hex
            )
    return found


def test_without_its_scope_no_service_does_anything(office: Office) -> None:
    every = [scope for scope in Scope if scope is not Scope.EVERYTHING]
    before = rows(office)
    for name, (needed, call) in office.calls().items():
        for scopes in ([], [scope for scope in every if scope is not needed], [needed.upper()]):
            with pytest.raises(AccessDenied, match=needed):
                call(office.actor(*scopes))
        assert rows(office) == before, name


def test_with_its_scope_alone_every_service_works_and_changes_are_recorded(
    office: Office,
) -> None:
    for name, (needed, call) in office.calls().items():
        before = rows(office)
        call(office.actor(needed))
        after = rows(office)
        if name.startswith(("get_", "page_")):
            assert after == before, name
        else:
            assert after != before, name
            assert len(after["audit_entries"]) == len(before["audit_entries"]) + 1, name


def test_a_stranger_who_knows_all_ids_gets_nothing_and_changes_nothing(office: Office) -> None:
    before = rows(office)
    assert sum(map(len, before.values())) > 15
    for name, (_, call) in office.calls().items():
        try:
            answer = call(office.stranger())
        except NotFound:
            assert name not in _OWN, name
        else:
            assert name in _OWN, name
            assert str(office.user_id) not in str(answer), name
        assert rows(office) == before, name


def test_a_stranger_ends_nobodys_session(office: Office) -> None:
    before = rows(office)
    with office.sessions() as session:
        for session_id in (office.session_id, uuid4()):
            with pytest.raises(NotFound):
                sessions.revoke_own_session(session, office.stranger(), session_id, NOW)
    assert rows(office) == before
    with office.sessions() as session:
        sessions.revoke_own_session(session, office.oneself(), office.session_id, NOW)
        session.commit()
    assert rows(office) != before


_TENANT_TABLES = {
    mapper.local_table.name  # type: ignore[attr-defined]
    for mapper in Base.registry.mappers
    if issubclass(mapper.class_, OfTenant)
}
_TABLE = re.compile(r'\b(?:FROM|JOIN|UPDATE|INTO)\s+"?(\w+)"?', re.IGNORECASE)
_NAMES_TENANT = re.compile(r"tenant_id\s*(?:=|,|\)|IS|IN)", re.IGNORECASE)
#: What SQLAlchemy says by itself to store a row that was found by its tenant, and changed.
_OF_FOUND_ROW = re.compile(r"UPDATE (\w+) SET .* WHERE \1\.id = \S+", re.DOTALL)


def test_every_statement_on_a_tenants_rows_names_the_tenant(office: Office) -> None:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(office.engine, "before_cursor_execute", note)
    for _, call in office.calls().values():
        call(office.actor(Scope.EVERYTHING))
    event.remove(office.engine, "before_cursor_execute", note)
    touched = {table for each in seen for table in _TABLE.findall(each)}
    assert {"users", "groups", "roles", "api_keys", "login_sessions", "group_members"} <= touched
    for statement in seen:
        tables = _TENANT_TABLES & set(_TABLE.findall(statement))
        if tables and not _OF_FOUND_ROW.fullmatch(statement):
            at = 0 if statement.startswith("INSERT") else statement.upper().find("WHERE")
            assert at >= 0, statement
            assert _NAMES_TENANT.search(statement[at:]), statement
