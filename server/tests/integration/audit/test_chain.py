"""Whatever somebody with all rights does to the rows of the log, it is noticed and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, insert, select, text, update
from sqlalchemy.orm import Session

from app.access import Actor, Scope, bootstrap_dev_data
from app.audit import record
from app.db.base import Base
from app.db.models import AuditCounter, AuditEntry, Campaign, User
from app.db.session import reading
from app.mailer.domain.audit_chain import FIELDS, Break, Head, genesis
from app.mailer.domain.errors import AccessDenied
from app.mailer.services.verify_audit import Verified, verify_all, verify_audit
from app.settings import Settings
from tests.integration.audit.conftest import NOW, actor_of

Tamper = Callable[[Connection, UUID], None]
ENTRIES = Base.metadata.tables["audit_entries"]


@pytest.fixture
def actor(session: Session) -> Actor:
    actor = actor_of(session, "acme")
    for number in range(1, 7):
        values = {"state": number, "name": "n"}
        record(
            session, actor, "campaign.queued", "campaign", number, {"count": number}, NOW,
            before=values, after={**values, "state": number + 1},
        )  # fmt: skip
    session.commit()
    return actor


def verified(engine: Engine, actor: Actor, **options: Any) -> Verified:
    with reading(engine)() as session:
        return verify_audit(session, actor, **options)


def tampered(engine: Engine, actor: Actor, tamper: Tamper) -> Break | None:
    with engine.begin() as connection:
        tamper(connection, actor.tenant_id)
    return verified(engine, actor).broken


def test_an_honest_log_is_proved(engine: Engine, actor: Actor, session: Session) -> None:
    other = actor_of(session, "other")
    record(session, other, "a", "t", 1, {}, NOW)
    session.commit()
    found = verified(engine, actor)
    assert (found.proved, found.checked, found.broken) == (True, 6, None)
    assert found.head is not None
    assert found.head.sequence == 6
    assert verified(engine, actor, expected=found.head).proved
    with reading(engine)() as reader:
        everybody = verify_all(reader)
    assert [(name, each.checked, each.proved) for name, each in everybody] == [
        ("acme", 6, True),
        ("other", 1, True),
    ]
    assert len({each.head for _, each in everybody}) == 2


def test_a_log_without_entries_is_proved(engine: Engine, session: Session) -> None:
    found = verified(engine, actor_of(session, "new"))
    assert (found.proved, found.checked, found.head) == (True, 0, None)


def test_it_needs_its_scope(engine: Engine, actor: Actor) -> None:
    with pytest.raises(AccessDenied, match="audit:read"):
        verified(engine, Actor.system(actor.tenant_id, "Bob", ["campaign:*"]))


OTHER_VALUES: dict[str, object] = {
    "id": uuid4(),
    "at": NOW + timedelta(microseconds=1),
    "actor_kind": "user",
    "actor_id": "key-2",
    "actor_name": "Bob",
    "address": None,
    "action": "campaign.sent",
    "object_type": "version",
    "object_id": "4",
    "details": {"count": 4},
    "before": None,
    "after": {"state": 4, "more": 1},
}


@pytest.mark.parametrize("name", sorted(OTHER_VALUES))
def test_a_changed_column_is_named(engine: Engine, actor: Actor, name: str) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        connection.execute(
            update(ENTRIES)
            .where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence == 3)
            .values({name: OTHER_VALUES[name]})
        )

    assert tampered(engine, actor, tamper) == Break(3, "its content is not what was recorded")


def test_no_column_is_left_out() -> None:
    columns = {column.name for column in ENTRIES.columns}
    assert set(FIELDS) == columns - {"hash", "previous_hash"}
    assert columns - OTHER_VALUES.keys() == {"sequence", "tenant_id", "hash", "previous_hash"}


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("hash", Break(3, "its content is not what was recorded")),
        ("previous_hash", Break(3, "it does not follow the entry before it")),
    ],
)
def test_a_changed_hash_is_named(engine: Engine, actor: Actor, name: str, broken: Break) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        connection.execute(
            update(ENTRIES)
            .where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence == 3)
            .values({name: "0" * 64})
        )

    assert tampered(engine, actor, tamper) == broken


def test_a_changed_number_is_named(engine: Engine, actor: Actor) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        connection.execute(
            update(ENTRIES)
            .where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence == 3)
            .values(sequence=-1)
        )

    assert tampered(engine, actor, tamper) == Break(
        -1, "its number is no entry's, or is used twice"
    )


def test_an_entry_given_to_another_tenant_is_missed(
    engine: Engine, actor: Actor, session: Session
) -> None:
    other = actor_of(session, "other")

    def tamper(connection: Connection, tenant: UUID) -> None:
        connection.execute(
            update(ENTRIES)
            .where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence == 1)
            .values(tenant_id=other.tenant_id)
        )

    assert tampered(engine, actor, tamper) == Break(1, "it is missing")
    assert verified(engine, other).broken == Break(
        1, "it stands behind the end that is noted for the log"
    )


@pytest.mark.parametrize("sequence", [1, 3])
def test_a_deleted_entry_is_missed(engine: Engine, actor: Actor, sequence: int) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        connection.execute(
            delete(ENTRIES).where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence == sequence)
        )

    assert tampered(engine, actor, tamper) == Break(sequence, "it is missing")


def test_a_cut_off_end_is_missed(engine: Engine, actor: Actor) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        connection.execute(
            delete(ENTRIES).where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence > 4)
        )

    assert tampered(engine, actor, tamper) == Break(
        5, "it is missing, and so is everything behind it"
    )


def test_an_end_cut_off_with_its_note_is_missed_by_who_noted_it_elsewhere(
    engine: Engine, actor: Actor
) -> None:
    head = verified(engine, actor).head

    def tamper(connection: Connection, tenant: UUID) -> None:
        fourth = connection.scalar(
            select(ENTRIES.c.hash).where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence == 4)
        )
        connection.execute(
            delete(ENTRIES).where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence > 4)
        )
        connection.execute(
            update(AuditCounter).where(AuditCounter.tenant_id == tenant).values(last=4, hash=fourth)
        )

    assert tampered(engine, actor, tamper) is None
    assert verified(engine, actor, expected=head).broken == Break(
        5, "it is missing: the log once went further"
    )
    assert verified(engine, actor, after=head).broken == Break(
        5, "it is missing: the log once went further"
    )


def test_a_log_written_anew_is_noticed_by_who_noted_its_end(
    engine: Engine, actor: Actor, session: Session
) -> None:
    head = verified(engine, actor).head
    assert head is not None
    with engine.begin() as connection:
        connection.execute(delete(ENTRIES))
        connection.execute(delete(AuditCounter))
    for number in range(8):
        record(session, actor, "campaign.queued", "campaign", number, {}, NOW)
    session.commit()
    assert verified(engine, actor).proved
    broken = verified(engine, actor, expected=head).broken
    assert broken is not None
    assert broken.sequence == 6
    assert "noted elsewhere" in broken.reason


def test_an_added_entry_is_named(engine: Engine, actor: Actor) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        row = connection.execute(
            select(ENTRIES).where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence == 6)
        ).one()
        connection.execute(insert(ENTRIES).values({**row._asdict(), "id": uuid4(), "sequence": 7}))

    assert tampered(engine, actor, tamper) == Break(
        7, "it stands behind the end that is noted for the log"
    )


def test_an_added_entry_with_the_note_moved_on_is_named(engine: Engine, actor: Actor) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        row = connection.execute(
            select(ENTRIES).where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence == 6)
        ).one()
        new = {**row._asdict(), "id": uuid4(), "sequence": 7, "previous_hash": row.hash}
        connection.execute(insert(ENTRIES).values(new))
        connection.execute(update(AuditCounter).values(last=7))

    assert tampered(engine, actor, tamper) == Break(7, "its content is not what was recorded")


def test_swapped_entries_are_named(engine: Engine, actor: Actor) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        for old, new in ((2, -1), (3, 2), (-1, 3)):
            connection.execute(
                update(ENTRIES)
                .where(ENTRIES.c.tenant_id == tenant, ENTRIES.c.sequence == old)
                .values(sequence=new)
            )

    assert tampered(engine, actor, tamper) == Break(2, "it does not follow the entry before it")


@pytest.mark.parametrize(
    ("values", "broken"),
    [
        ({"hash": "0" * 64}, Break(6, "the hash that is noted for the end of the log is another")),
        ({"last": 7}, Break(7, "it is missing, and so is everything behind it")),
        ({"last": 5}, Break(6, "it stands behind the end that is noted for the log")),
    ],
)
def test_a_changed_note_of_the_end_is_named(
    engine: Engine, actor: Actor, values: dict[str, object], broken: Break
) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        connection.execute(
            update(AuditCounter).where(AuditCounter.tenant_id == tenant).values(values)
        )

    assert tampered(engine, actor, tamper) == broken


def test_a_removed_note_of_the_end_is_named(engine: Engine, actor: Actor) -> None:
    def tamper(connection: Connection, tenant: UUID) -> None:
        connection.execute(delete(AuditCounter).where(AuditCounter.tenant_id == tenant))

    assert tampered(engine, actor, tamper) == Break(
        1, "it stands behind the end that is noted for the log"
    )


def a_campaign(tenant: UUID) -> Any:
    return Campaign(
        tenant_id=tenant,
        external_id="c",
        name="C",
        description="",
        created_at=NOW,
        updated_at=NOW,
    )


def a_user(tenant: UUID) -> Any:
    return User(tenant_id=tenant, email="ada@example.org", display_name="", created_at=NOW)


@pytest.mark.parametrize("made", [a_campaign, a_user])
@pytest.mark.parametrize("with_counter", [False, True])
def test_an_emptied_log_is_not_proved(
    engine: Engine,
    session: Session,
    actor: Actor,
    made: Callable[[UUID], Any],
    with_counter: bool,
) -> None:
    session.add(made(actor.tenant_id))
    session.commit()

    def tamper(connection: Connection, tenant: UUID) -> None:
        connection.execute(delete(ENTRIES))
        if with_counter:
            connection.execute(update(AuditCounter).values(last=0, hash=genesis(tenant)))
        else:
            connection.execute(delete(AuditCounter))

    assert tampered(engine, actor, tamper) == Break(
        1, "it is missing, though there is what had to be recorded: all were deleted"
    )


def test_what_development_makes_by_itself_is_no_entry(engine: Engine, session: Session) -> None:
    development = Settings(app_env="dev")  # type: ignore[call-arg]
    tenant = bootstrap_dev_data(session, development, NOW)
    session.commit()
    reader = Actor.system(tenant.id, "Ada", [Scope.AUDIT_READ])
    assert verified(engine, reader).proved


def test_an_entry_that_cannot_be_read_is_named(engine: Engine, actor: Actor) -> None:
    if engine.dialect.name != "sqlite":
        return  # Postgres keeps nothing there that is no JSON

    def tamper(connection: Connection, _tenant: UUID) -> None:
        connection.execute(text("UPDATE audit_entries SET details = '{' WHERE sequence = 3"))

    assert tampered(engine, actor, tamper) == Break(3, "it cannot be read")
    assert verified(engine, actor).checked == 2


def test_a_long_log_is_proved_in_parts(engine: Engine, actor: Actor) -> None:
    first = verified(engine, actor, limit=2)
    assert (first.complete, first.checked, first.broken) == (False, 2, None)
    second = verified(engine, actor, after=first.head, limit=4)
    assert (second.complete, second.checked, second.proved) == (True, 4, True)
    last = verified(engine, actor, after=second.head)
    assert (last.checked, last.proved, last.head) == (0, True, second.head)
    assert not verified(engine, actor, after=Head(2, "0" * 64)).proved
    assert not verified(engine, actor, after=Head(6, "0" * 64)).proved


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(st.characters(exclude_categories=[]))
    | st.decimals()
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=[])), inner, max_size=4)
    ),
    max_leaves=12,
)
mappings = st.dictionaries(st.text(), json_values, max_size=4)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(details=mappings, before=st.none() | mappings, name=st.text(st.characters()))
def test_whatever_is_recorded_is_proved(
    engine: Engine, details: dict[str, Any], before: dict[str, Any] | None, name: str
) -> None:
    """JSONB and SQLite spell numbers otherwise and sort keys; the chain holds all the same."""
    with Session(engine) as session:
        actor = actor_of(session, str(uuid4()))
        odd = Actor(actor.tenant_id, actor.kind, name, name, actor.scopes, address=name)
        record(session, odd, "a", "t", name, details, NOW, before=before, after=details)
        session.commit()
    found = verified(engine, actor)
    assert (found.checked, found.broken) == (1, None)
    with Session(engine) as session:
        (entry,) = session.scalars(
            select(AuditEntry).where(AuditEntry.tenant_id == actor.tenant_id)
        )
        assert json.dumps(entry.details)
