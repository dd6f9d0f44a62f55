"""Make the first user of an installation, before anybody can sign in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.access.roles import FIRST_ROLES
from app.access.scopes import Scope
from app.db.repositories import access
from app.mailer.domain.errors import MailerError
from app.mailer.services.make_api_key import tenant_to_operate
from app.mailer.services.people.users import NewUser, Person, create_user


def make_operated_user(
    session: Session,
    tenant_slug: str,
    role_name: str,
    *,
    email: str,
    password: str,
    now: datetime,
) -> Person:
    """A user with this role, in the tenant of this slug, which is made where it is new.

    For whoever already has the database in hand, so it asks for no scope. The caller commits.
    """
    tenant = tenant_to_operate(session, tenant_slug, now)
    role = access.role_by_name(session, tenant.id, role_name)
    if role is None:
        raise MailerError(
            f"The tenant {tenant_slug} has no role “{role_name}”.",
            f"A new tenant has: {', '.join(FIRST_ROLES)}.",
        )
    operator = Actor.system(tenant.id, "init_db", [Scope.EVERYTHING])
    new = NewUser(email, password=password, role_ids=[role.id])
    return create_user(session, operator, new, now)
