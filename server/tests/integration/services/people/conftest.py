"""A tenant with a user, a group, a role, a key and a session, and every service on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from app.access.actor import Actor, ActorKind
from app.access.passwords import hash_password
from app.access.roles import found_tenant
from app.access.scopes import Scope
from app.access.sessions import SessionTerms, open_session
from app.db.keyset import Order
from app.db.models import User
from app.db.repositories import access
from app.db.repositories.access import groups as group_rows
from app.db.repositories.access import keys as key_rows
from app.db.repositories.access import roles as role_rows
from app.db.repositories.access import sessions as session_rows
from app.db.repositories.access import users as user_rows
from app.db.repositories.access.users import UserFilter
from app.db.session import make_engine, session_factory
from app.mailer.services.people import api_keys, groups, roles, sessions, tenant, users
from app.mailer.services.people.users import NewUser

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TERMS = SessionTerms(timedelta(hours=1), timedelta(hours=12))
PASSWORD = "an entirely new phrase"

Call = Callable[[Actor], Any]


@dataclass(frozen=True)
class Office:
    """One tenant, and the ids of what is in it."""

    engine: Engine
    sessions: sessionmaker[Session]
    tenant_id: UUID
    user_id: UUID
    group_id: UUID
    role_id: UUID
    key_id: UUID
    session_id: UUID

    def actor(self, *scopes: str) -> Actor:
        return Actor.system(self.tenant_id, "Ada", scopes)

    def stranger(self) -> Actor:
        with self.sessions() as session:
            other = found_tenant(session, f"other-{uuid4()}", "Other", NOW)
            session.commit()
        return Actor.system(other.id, "Mallory", [Scope.EVERYTHING])

    def oneself(self) -> Actor:
        """The user of the office, signed in."""
        return Actor(
            self.tenant_id,
            ActorKind.USER,
            str(self.user_id),
            "Bob",
            frozenset(),
            user_id=self.user_id,
            session_id=self.session_id,
        )

    def calls(self) -> dict[str, tuple[Scope, Call]]:
        """Every service that asks for a scope: which, and the call."""
        user, group, role = self.user_id, self.group_id, self.role_id
        people, keys, whole = Scope.ADMIN_USERS, Scope.ADMIN_KEYS, Scope.ADMIN_TENANT

        def within(call: Callable[..., Any], *given: Any, **options: Any) -> Call:
            def run(actor: Actor) -> Any:
                with self.sessions() as session:
                    result = call(session, actor, *given, **options)
                    session.commit()
                return result

            return run

        def page(rows: Any, name: str = "created_at") -> dict[str, Any]:
            order = Order(rows.SORTABLE[name], rows.KEY)
            return {"order": order, "after": None, "limit": 10}

        new = NewUser("new@example.org", "New", PASSWORD, [role])
        return {
            "page_users": (
                people,
                within(users.page_users, UserFilter(text="bob"), **page(user_rows)),
            ),
            "get_user": (people, within(users.get_user, user)),
            "update_user": (
                people,
                within(users.update_user, user, {"display_name": "Changed"}, NOW),
            ),
            "revoke_sessions_of": (people, within(sessions.revoke_sessions_of, user, NOW)),
            "set_password": (people, within(users.set_password, user, PASSWORD, NOW)),
            "set_user_roles": (people, within(users.set_roles, user, [role], NOW)),
            "reset_totp": (people, within(users.reset_totp, user, NOW)),
            "page_sessions_of": (
                people,
                within(sessions.page_sessions_of, user, TERMS, NOW, **page(session_rows)),
            ),
            "page_groups": (people, within(groups.page_groups, **page(group_rows))),
            "get_group": (people, within(groups.get_group, group)),
            "update_group": (
                people,
                within(groups.update_group, group, {"name": "Changed"}, NOW),
            ),
            "set_members": (people, within(groups.set_members, group, [user], NOW)),
            "set_group_roles": (people, within(groups.set_roles, group, [role], NOW)),
            "page_roles": (people, within(roles.page_roles, **page(role_rows, "name"))),
            "get_role": (people, within(roles.get_role, role)),
            "update_role": (
                people,
                within(roles.update_role, role, {"name": "changed", "scopes": []}, NOW),
            ),
            "page_keys": (
                keys,
                within(api_keys.page_keys, user_id=user, usable_at=NOW, **page(key_rows)),
            ),
            "get_key": (keys, within(api_keys.get_key, self.key_id)),
            "revoke_key": (keys, within(api_keys.revoke_key, self.key_id, NOW)),
            "get_tenant": (whole, within(tenant.get_tenant)),
            # What stands apart from the things above: it makes something, or ends it.
            "create_user": (people, within(users.create_user, new, NOW)),
            "create_group": (people, within(groups.create_group, "New", NOW)),
            "create_role": (people, within(roles.create_role, "new", [], NOW)),
            "make_key": (
                keys,
                within(api_keys.make_key, "new", [Scope.ADMIN_KEYS], None, NOW),
            ),
            "update_tenant": (
                whole,
                within(tenant.update_tenant, {"already_sent_days": 1}, NOW),
            ),
            "delete_group": (people, within(groups.delete_group, group, NOW)),
            "delete_role": (people, within(roles.delete_role, role, NOW)),
            "delete_user": (people, within(users.delete_user, user, NOW)),
        }


@pytest.fixture
def office(database_url: str) -> Iterator[Office]:
    """On SQLite and on Postgres."""
    engine = make_engine(database_url)
    factory = session_factory(engine)
    with factory() as session:
        owner = found_tenant(session, "acme", "Acme", NOW)
        maker = Actor.system(owner.id, "setup", [Scope.EVERYTHING])
        role = roles.create_role(session, maker, "helper", [], NOW)
        bob = access.add_user(
            session,
            owner.id,
            User(
                email="bob@example.org",
                display_name="",
                password_hash=hash_password(PASSWORD),
                created_at=NOW,
            ),
        )
        team = groups.create_group(session, maker, "Office", NOW)
        groups.set_members(session, maker, team.group.id, [bob.id], NOW)
        groups.set_roles(session, maker, team.group.id, [role.id], NOW)
        users.set_roles(session, maker, bob.id, [role.id], NOW)
        key = api_keys.make_key(session, maker, "key", [Scope.ADMIN_KEYS], None, NOW)
        opened = open_session(
            session, bob, NOW, TERMS, is_cookie=False, address=None, user_agent=None
        )
        session.commit()
        found = Office(engine, factory, owner.id, bob.id, team.group.id, role.id, key.id, opened.id)
    yield found
    engine.dispose()
