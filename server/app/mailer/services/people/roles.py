"""Administer roles: named sets of scopes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope, known_scopes
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import Role
from app.db.repositories.access import roles
from app.mailer.domain.errors import Conflict
from app.mailer.services.people.grants import administering, no_role, require_all


class RoleChanges(TypedDict, total=False):
    """What is to be changed; what is left out stays."""

    name: str
    scopes: Collection[str]


def page_roles(
    session: Session, actor: Actor, *, order: Order, after: tuple[Any, Any] | None, limit: int
) -> Slice[Role]:
    """A page of the tenant's roles; `order` and `after` as `db.keyset.fetch` takes them."""
    require_scope(actor, Scope.ADMIN_USERS)
    return roles.page(session, actor.tenant_id, order=order, after=after, limit=limit)


def get_role(session: Session, actor: Actor, role_id: UUID) -> Role:
    require_scope(actor, Scope.ADMIN_USERS)
    return _role(session, actor, role_id)


def create_role(
    session: Session, actor: Actor, name: str, scopes: Collection[str], now: datetime
) -> Role:
    """Makes a role. `Conflict` where the name has one."""
    with administering(session, actor):
        chosen = known_scopes(scopes)
        require_all(actor, chosen)
        _refuse_taken(session, actor, name)
        role = roles.add_role(session, actor.tenant_id, Role(name=name, scopes=chosen))
        log.record(session, actor, "role.created", "role", role.id, {}, now, after=_told(role))
    return role


def update_role(
    session: Session, actor: Actor, role_id: UUID, changes: RoleChanges, now: datetime
) -> Role:
    """Changes what `changes` names, at once for everybody who has the role."""
    with administering(session, actor):
        role = _role(session, actor, role_id)
        before = _told(role)
        if "name" in changes and changes["name"] != role.name:
            _refuse_taken(session, actor, changes["name"])
            role.name = changes["name"]
        scopes = known_scopes(changes.get("scopes", role.scopes))
        require_all(actor, [*role.scopes, *scopes])
        role.scopes = scopes
        if before != _told(role):
            log.record(
                session,
                actor,
                "role.updated",
                "role",
                role.id,
                {},
                now,
                before=before,
                after=_told(role),
            )
    return role


def delete_role(session: Session, actor: Actor, role_id: UUID, now: datetime) -> None:
    """Deletes a role, and so takes it from everybody who has it."""
    with administering(session, actor):
        role = _role(session, actor, role_id)
        require_all(actor, role.scopes)
        told = _told(role)
        roles.delete_role(session, actor.tenant_id, role_id)
        log.record(session, actor, "role.deleted", "role", role_id, {}, now, before=told)


def _role(session: Session, actor: Actor, role_id: UUID) -> Role:
    found = roles.role(session, actor.tenant_id, role_id)
    if found is None:
        raise no_role(role_id)
    return found


def _refuse_taken(session: Session, actor: Actor, name: str) -> None:
    if roles.role_by_name(session, actor.tenant_id, name) is not None:
        raise Conflict(f"There is already a role “{name}”.", "Choose another name.")


def _told(role: Role) -> dict[str, object]:
    return {"name": role.name, "scopes": list(role.scopes)}
