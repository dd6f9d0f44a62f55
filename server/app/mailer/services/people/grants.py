"""Nobody gives what he does not hold, and somebody can always administer the tenant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope, covers, lacking
from app.db.models import Role, Tenant, User
from app.db.repositories.access import roles, tenants, users
from app.mailer.domain.errors import AccessDenied, Conflict, NotFound


@contextmanager
def administering(session: Session, actor: Actor) -> Iterator[Tenant]:
    """For a change to people, groups or roles: needs `admin:users`; one at a time in a tenant.

    A change after which nobody could sign in and undo it is a `Conflict`: the last active user
    with `admin:users` and a password can be neither deleted nor disabled nor stripped.
    """
    require_scope(actor, Scope.ADMIN_USERS)
    tenant = tenants.lock_tenant(session, actor.tenant_id)
    could = _somebody_administers(session, tenant.id)
    yield tenant
    session.flush()
    if could and not _somebody_administers(session, tenant.id):
        raise Conflict(
            "After this, nobody could administer the tenant any more.",
            f"Give somebody else a role with {Scope.ADMIN_USERS} first.",
        )


def require_all(actor: Actor, scopes: Iterable[str]) -> None:
    """Raises `AccessDenied` where the actor lacks one of the scopes that he deals in."""
    missing = lacking(actor.scopes, scopes)
    if missing:
        raise AccessDenied(
            f"{actor.name} lacks {', '.join(missing)}, and so cannot give or take it.",
            "Ask somebody who has it.",
        )


def user_under(session: Session, actor: Actor, user_id: UUID) -> User:
    """The user, whom the actor may administer: one who may do no more than he himself.

    Else a new password for a mightier user would be a way to that user's scopes.
    """
    found = users.lock_user(session, actor.tenant_id, user_id)
    if found is None:
        raise no_user(user_id)
    require_all(actor, users.scopes_of_user(session, actor.tenant_id, user_id))
    return found


def roles_to_give(session: Session, actor: Actor, role_ids: Collection[UUID]) -> Sequence[Role]:
    """These roles, all of whose scopes the actor holds."""
    found = roles.roles(session, actor.tenant_id, role_ids)
    missing = set(role_ids) - {role.id for role in found}
    if missing:
        raise no_role(min(missing))
    require_all(actor, [scope for role in found for scope in role.scopes])
    return found


def no_user(user_id: UUID) -> NotFound:
    return NotFound(f"There is no user {user_id}.")


def no_role(role_id: UUID) -> NotFound:
    return NotFound(f"There is no role {role_id}.")


def _somebody_administers(session: Session, tenant_id: UUID) -> bool:
    mighty = [
        role_id
        for role_id, scopes in roles.every(session, tenant_id)
        if covers(scopes, Scope.ADMIN_USERS)
    ]
    return bool(mighty) and users.can_anyone_sign_in_with(session, tenant_id, mighty)
