"""Queries about roles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import Role

SORTABLE: dict[str, Sortable] = {"name": Role.name}
KEY = Role.id


def role(session: Session, tenant_id: UUID, role_id: UUID) -> Role | None:
    return session.scalar(select(Role).where(Role.tenant_id == tenant_id, Role.id == role_id))


def role_by_name(session: Session, tenant_id: UUID, name: str) -> Role | None:
    return session.scalar(select(Role).where(Role.tenant_id == tenant_id, Role.name == name))


def roles(session: Session, tenant_id: UUID, role_ids: Collection[UUID]) -> Sequence[Role]:
    """Those of `role_ids` that are roles of the tenant, by name."""
    return session.scalars(
        select(Role).where(Role.tenant_id == tenant_id, Role.id.in_(role_ids)).order_by(Role.name)
    ).all()


def every(session: Session, tenant_id: UUID) -> Sequence[tuple[UUID, list[str]]]:
    """Id and scopes of all roles; a tenant has few."""
    rows = session.execute(select(Role.id, Role.scopes).where(Role.tenant_id == tenant_id))
    return [(key, scopes) for key, scopes in rows]


def add_role(session: Session, tenant_id: UUID, role: Role) -> Role:
    role.tenant_id = tenant_id
    session.add(role)
    session.flush()
    return role


def delete_role(session: Session, tenant_id: UUID, role_id: UUID) -> None:
    """Takes it away from whoever has it, too."""
    session.execute(delete(Role).where(Role.tenant_id == tenant_id, Role.id == role_id))


def page(
    session: Session,
    tenant_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Role]:
    """A page of the tenant's roles."""
    query = select(Role).where(Role.tenant_id == tenant_id)
    return fetch(session, query, order, after=after, limit=limit)
