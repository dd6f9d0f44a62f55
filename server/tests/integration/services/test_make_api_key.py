from __future__ import annotations

import pytest
from sqlalchemy import select

from app.access.keys import authenticate_api_key
from app.db.models import ApiKey, AuditEntry, Tenant
from app.db.session import make_engine, session_factory
from app.mailer.adapters.clock import SystemClock
from app.mailer.domain.errors import MailerError
from app.mailer.services.make_api_key import make_operator_key


@pytest.fixture
def sessions(database_url):
    engine = make_engine(database_url)
    yield session_factory(engine)
    engine.dispose()


def test_an_operators_key_works_without_development_and_is_audited(sessions):
    clock = SystemClock()
    with sessions() as session:
        key = make_operator_key(session, "office", "Payroll", clock=clock)
        session.commit()
    with sessions() as session:
        actor = authenticate_api_key(session, key.secret, clock.now(), development=False)
        assert actor.may("campaign:send")
        assert actor.may("audit:read")
        entry = session.scalars(select(AuditEntry)).one()
        stored = session.scalars(select(ApiKey)).one()
    assert (entry.action, entry.object_id) == ("api_key.created", str(key.id))
    assert key.secret not in str(entry.details)
    assert key.secret != stored.key_hash


@pytest.mark.parametrize(
    ("slug", "name"), [("office", " "), ("", "Payroll"), ("Of fice", "x"), ("-a", "x")]
)
def test_a_nameless_key_or_tenant_is_refused_and_nothing_is_stored(sessions, slug, name):
    with sessions() as session:
        with pytest.raises(MailerError) as refused:
            make_operator_key(session, slug, name, clock=SystemClock())
        session.commit()
        assert refused.value.hint
        assert session.scalars(select(ApiKey)).all() == []
        assert session.scalars(select(Tenant)).all() == []


def test_a_second_key_joins_the_same_tenant(sessions):
    clock = SystemClock()
    with sessions() as session:
        first = make_operator_key(session, "office", "One", clock=clock)
        second = make_operator_key(session, "office", "Two", clock=clock)
        session.commit()
        assert first.secret != second.secret
        assert len(session.scalars(select(Tenant)).all()) == 1
