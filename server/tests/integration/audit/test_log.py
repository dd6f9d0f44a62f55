from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from app.access import Actor, ActorKind
from app.audit import AuditFilter, list_entries, record
from app.db.models import Role
from app.db.repositories import access
from app.db.session import session_factory
from app.mailer.domain.errors import AccessDenied
from tests.integration.audit.conftest import NOW, actor_of

MINUTE = timedelta(minutes=1)


def test_an_entry_says_who_did_what(session: Session) -> None:
    actor = actor_of(session, "acme")
    thing = UUID(int=7)
    details = {"version": thing, "smtp": {"password": "hunter2"}}
    record(session, actor, "campaign.imported", "campaign", thing, details, NOW)
    session.commit()
    session.expunge_all()
    (entry,) = list_entries(session, actor)
    assert (entry.sequence, entry.at, entry.action) == (1, NOW, "campaign.imported")
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("api_key", "key-1", "Ada")
    assert (entry.object_type, entry.object_id) == ("campaign", str(thing))
    assert entry.details == {"version": str(thing), "smtp": {"password": "(redacted)"}}
    assert (entry.address, entry.before, entry.after) == ("192.0.2.7", None, None)


def test_before_and_after_have_what_changed(session: Session) -> None:
    actor = actor_of(session, "acme")
    old = {"name": "a", "host": "x", "smtp_password": "hunter2", "gone": 1, "to": ("a", "b")}
    new = {"name": "b", "host": "x", "smtp_password": "hunter3", "to": ["a", "b"]}
    changed = record(session, actor, "a", "t", 1, {}, NOW, before=old, after=new)
    made = record(session, actor, "a", "t", 1, {}, NOW, after=new)
    deleted = record(session, actor, "a", "t", 1, {}, NOW, before=old)
    session.commit()
    for entry in (changed, made, deleted):
        session.refresh(entry)
    assert changed.before == {"name": "a", "smtp_password": "(redacted)", "gone": 1}
    assert changed.after == {"name": "b", "smtp_password": "(redacted)"}
    assert (made.before, made.after) == (None, {**new, "smtp_password": "(redacted)"})
    assert deleted.before == {**old, "smtp_password": "(redacted)", "to": ["a", "b"]}
    assert deleted.after is None


def test_the_sequence_has_no_gaps(engine: Engine, session: Session) -> None:
    actor = actor_of(session, "acme")
    other = actor_of(session, "other")
    sessions = session_factory(engine)
    failures: list[Exception] = []

    def work() -> None:
        try:
            for number in range(6):
                with sessions() as own:
                    record(own, actor, "a", "t", number, {}, NOW)
                    record(own, actor, "b", "t", number, {}, NOW)
                    own.rollback() if number % 2 else own.commit()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    entries = list_entries(session, actor, AuditFilter(limit=100))
    assert [entry.sequence for entry in entries] == list(range(24, 0, -1))
    record(session, other, "a", "t", 1, {}, NOW)
    session.commit()
    assert [entry.sequence for entry in list_entries(session, other)] == [1]


def test_whoever_records_before_the_end_holds_nobody_up(engine: Engine, session: Session) -> None:
    """Two that record, and lock the same row before or after that, must not wait for each other."""
    if engine.dialect.name == "sqlite":
        return  # one writer at a time in any case
    actor = actor_of(session, "acme")
    role = access.add_role(session, actor.tenant_id, Role(name="r", scopes=[]))
    session.commit()
    record(session, actor, "a", "t", 1, {}, NOW)
    with session_factory(engine)() as other:
        other.connection().exec_driver_sql("SET LOCAL lock_timeout = '2s'")
        other.get_one(Role, role.id, with_for_update=True)
        record(other, actor, "b", "t", 1, {}, NOW)
        other.commit()
    session.get_one(Role, role.id, with_for_update=True)
    session.commit()
    assert [entry.action for entry in list_entries(session, actor)] == ["a", "b"]


def test_the_chain_is_locked_after_all_else(session: Session) -> None:
    actor = actor_of(session, "acme")
    record(session, actor, "a", "t", 1, {}, NOW)
    session.add(Role(tenant_id=actor.tenant_id, name="r", scopes=[]))
    written: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith(("INSERT", "UPDATE")):
            written.append(statement.split('"')[0].split()[2 if "INSERT" in statement else 1])

    bind = session.get_bind()
    event.listen(bind, "before_cursor_execute", note)
    session.commit()
    event.remove(bind, "before_cursor_execute", note)
    assert written == ["roles", "audit_counters", "audit_entries", "audit_counters"]


def test_what_is_taken_back_was_never_recorded(session: Session) -> None:
    actor = actor_of(session, "acme")
    record(session, actor, "a", "t", 1, {}, NOW)
    session.rollback()
    record(session, actor, "b", "t", 1, {}, NOW)
    session.close()
    session.commit()
    assert list_entries(session, actor) == []
    with session.begin_nested(), pytest.raises(AssertionError, match="savepoint"):
        record(session, actor, "c", "t", 1, {}, NOW)
    record(session, actor, "d", "t", 1, {}, NOW)
    with session.begin_nested():
        pass
    session.commit()
    assert [(entry.action, entry.sequence) for entry in list_entries(session, actor)] == [("d", 1)]


def test_filters(session: Session) -> None:
    actor = actor_of(session, "acme")
    for number in range(6):
        action = "campaign.queued" if number % 2 else "campaign.built"
        record(session, actor, action, "campaign", number // 2, {}, NOW + number * MINUTE)
    session.commit()

    def found(**wanted: object) -> list[int]:
        filters = AuditFilter(**wanted)  # type: ignore[arg-type]
        return [entry.sequence for entry in list_entries(session, actor, filters)]

    assert found() == [6, 5, 4, 3, 2, 1]
    assert found(limit=2, offset=1) == [5, 4]
    assert found(action="campaign.queued") == [6, 4, 2]
    assert found(action="campaign.queued", object_type="campaign", object_id="1") == [4]
    assert found(actor_id="key-2") == []
    assert found(since=NOW + MINUTE, until=NOW + 3 * MINUTE) == [3, 2]


def test_reading_needs_its_scope(session: Session) -> None:
    actor = actor_of(session, "acme")
    blind = Actor(actor.tenant_id, ActorKind.USER, "u", "Bob", frozenset({"campaign:*"}))
    with pytest.raises(AccessDenied, match="audit:read"):
        list_entries(session, blind)
