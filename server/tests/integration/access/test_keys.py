from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.access import (
    ActorKind,
    Scope,
    authenticate_api_key,
    bootstrap_dev_data,
    create_api_key,
    verify_password,
)
from app.access.roles import FIRST_ROLES
from app.access.scopes import covers, known_scopes
from app.db.models import ApiKey, Group, GroupMember, GroupRole, Role, Tenant, User
from app.db.repositories import access
from app.db.session import make_engine, session_factory
from app.mailer.domain.errors import AccessDenied, ConfigurationError, MailerError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ADMINISTRATION = (Scope.ADMIN_USERS, Scope.ADMIN_KEYS, Scope.ADMIN_TENANT)
DEV_KEY = "dev-multimailer-api-key"
DEV = SimpleNamespace(is_dev=True, dev_api_key=SecretStr(DEV_KEY))


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    engine = make_engine(database_url)
    with session_factory(engine)() as session:
        yield session
    engine.dispose()


@pytest.fixture
def tenant(session: Session) -> Tenant:
    return access.add_tenant(session, Tenant(slug="acme", name="Acme", created_at=NOW))


def test_a_key_is_shown_once_and_stored_as_a_hash(session: Session, tenant: Tenant) -> None:
    made = create_api_key(session, tenant.id, "Reports", [Scope.CAMPAIGN_READ], NOW)
    session.commit()
    assert made.secret not in repr(made)
    assert len(made.secret) >= 43
    stored = session.get_one(ApiKey, made.id)
    values = [getattr(stored, column.key) for column in ApiKey.__table__.columns]
    assert not any(made.secret in str(value) for value in values)
    actor = authenticate_api_key(session, made.secret, NOW)
    assert actor.kind is ActorKind.API_KEY
    assert (actor.tenant_id, actor.id, actor.name) == (tenant.id, str(made.id), "Reports")
    assert actor.scopes == {"campaign:read"}


def test_every_refusal_is_the_same(session: Session, tenant: Tenant) -> None:
    def make(**more: object) -> str:
        return create_api_key(session, tenant.id, "k", ["*"], NOW, **more).secret  # type: ignore[arg-type]

    user = access.add_user(
        session,
        tenant.id,
        User(email="Ada@Example.org", display_name="Ada", is_active=False, created_at=NOW),
    )
    revoked = create_api_key(session, tenant.id, "k", ["*"], NOW)
    assert access.revoke_api_key(session, tenant.id, revoked.id, NOW)
    assert not access.revoke_api_key(session, tenant.id, revoked.id, NOW)
    good = make()
    refused = [
        "",
        "unknown",
        good[:-1],
        good + "x",
        good.swapcase(),
        "\ud800" * 20,
        revoked.secret,
        make(expires_at=NOW),
        make(user_id=user.id),
        make(development_secret=DEV_KEY),
    ]
    messages = set()
    for key in refused:
        with pytest.raises(AccessDenied) as caught:
            authenticate_api_key(session, key, NOW)
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert authenticate_api_key(session, good, NOW)
    assert authenticate_api_key(session, make(expires_at=NOW + SECOND), NOW)


def test_use_is_noted_once_a_minute(session: Session, tenant: Tenant) -> None:
    made = create_api_key(session, tenant.id, "k", ["*"], NOW)

    def used_at(now: datetime) -> datetime | None:
        authenticate_api_key(session, made.secret, now)
        session.commit()
        return session.get_one(ApiKey, made.id, populate_existing=True).last_used_at

    assert used_at(NOW) == NOW
    assert used_at(NOW + 59 * SECOND) == NOW
    assert used_at(NOW + 60 * SECOND) == NOW + 60 * SECOND


def test_a_key_with_an_unknown_scope_is_not_made(session: Session, tenant: Tenant) -> None:
    with pytest.raises(MailerError, match="campaign:raed"):
        create_api_key(session, tenant.id, "k", ["campaign:raed"], NOW)
    assert access.api_keys(session, tenant.id) == []


def test_development_data_is_made_once(session: Session) -> None:
    tenant = bootstrap_dev_data(session, DEV, NOW)
    again = bootstrap_dev_data(session, DEV, NOW + SECOND)
    session.commit()
    assert again.id == tenant.id
    assert tenant.slug == "default"
    for model in (Tenant, User, ApiKey):
        assert session.scalar(select(func.count()).select_from(model)) == 1
    roles = {role.name: role.scopes for role in session.scalars(select(Role))}
    assert roles == {name: list(scopes) for name, scopes in FIRST_ROLES.items()}
    user = access.user_by_email(session, tenant.id, "ADMIN@example.local")
    assert user is not None
    assert user.password_hash is not None
    assert verify_password("dev-admin", user.password_hash)
    assert access.scopes_of_user(session, tenant.id, user.id) == {"*"}
    actor = authenticate_api_key(session, DEV_KEY, NOW, development=True)
    assert actor.may("admin:users")


def test_the_development_key_is_worth_nothing_elsewhere(session: Session) -> None:
    bootstrap_dev_data(session, DEV, NOW)
    with pytest.raises(AccessDenied):
        authenticate_api_key(session, DEV_KEY, NOW)


def test_development_data_without_a_key(session: Session) -> None:
    bootstrap_dev_data(session, SimpleNamespace(is_dev=True, dev_api_key=None), NOW)
    with pytest.raises(AccessDenied):
        authenticate_api_key(session, DEV_KEY, NOW, development=True)


def test_no_development_data_in_production(session: Session) -> None:
    with pytest.raises(ConfigurationError, match="APP_ENV=dev"):
        bootstrap_dev_data(session, SimpleNamespace(is_dev=False, dev_api_key=None), NOW)
    assert access.tenant_by_slug(session, "default") is None


def test_a_user_has_the_scopes_of_his_groups_too(session: Session, tenant: Tenant) -> None:
    user = access.add_user(
        session, tenant.id, User(email="a@example.org", display_name="A", created_at=NOW)
    )
    other = access.add_user(
        session, tenant.id, User(email="b@example.org", display_name="B", created_at=NOW)
    )
    own = access.add_role(session, tenant.id, Role(name="own", scopes=["audit:read"]))
    shared = access.add_role(session, tenant.id, Role(name="shared", scopes=["campaign:read"]))
    access.grant_role(session, tenant.id, user.id, own.id)
    group = Group(tenant_id=tenant.id, name="office", created_at=NOW)
    session.add(group)
    session.flush()
    session.add(GroupMember(tenant_id=tenant.id, group_id=group.id, user_id=user.id))
    session.add(GroupRole(tenant_id=tenant.id, group_id=group.id, role_id=shared.id))
    session.flush()
    assert access.scopes_of_user(session, tenant.id, user.id) == {"audit:read", "campaign:read"}
    assert access.scopes_of_user(session, tenant.id, other.id) == frozenset()


def test_a_persons_key_allows_what_his_roles_allow_too(session: Session, tenant: Tenant) -> None:
    user = access.add_user(
        session, tenant.id, User(email="a@example.org", display_name="A", created_at=NOW)
    )
    key = create_api_key(session, tenant.id, "k", ["campaign:*", "*"], NOW, user_id=user.id)
    assert authenticate_api_key(session, key.secret, NOW).scopes == frozenset()
    role = access.add_role(session, tenant.id, Role(name="r", scopes=["campaign:read"]))
    access.grant_role(session, tenant.id, user.id, role.id)
    actor = authenticate_api_key(session, key.secret, NOW)
    assert actor.scopes == {"campaign:read"}
    assert actor.identity == f"user:{user.id}"


def test_the_first_roles_are_of_known_scopes_and_only_the_owner_administers() -> None:
    for name, scopes in FIRST_ROLES.items():
        assert known_scopes(scopes) == sorted(map(str, scopes))
        assert any(covers(scopes, scope) for scope in ADMINISTRATION) is (name == "owner")
