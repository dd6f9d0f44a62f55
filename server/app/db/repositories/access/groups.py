"""Queries about groups of users."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import Group, GroupMember, GroupRole, Role

SORTABLE: dict[str, Sortable] = {"name": Group.name, "created_at": Group.created_at}
KEY = Group.id


def group(session: Session, tenant_id: UUID, group_id: UUID) -> Group | None:
    return session.scalar(select(Group).where(Group.tenant_id == tenant_id, Group.id == group_id))


def group_by_name(session: Session, tenant_id: UUID, name: str) -> Group | None:
    return session.scalar(select(Group).where(Group.tenant_id == tenant_id, Group.name == name))


def add_group(session: Session, tenant_id: UUID, group: Group) -> Group:
    group.tenant_id = tenant_id
    session.add(group)
    session.flush()
    return group


def delete_group(session: Session, tenant_id: UUID, group_id: UUID) -> None:
    """The group alone; its members stay users."""
    session.execute(delete(Group).where(Group.tenant_id == tenant_id, Group.id == group_id))


def page(
    session: Session,
    tenant_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Group]:
    """A page of the tenant's groups."""
    query = select(Group).where(Group.tenant_id == tenant_id)
    return fetch(session, query, order, after=after, limit=limit)


def members(session: Session, tenant_id: UUID, group_id: UUID) -> set[UUID]:
    return set(
        session.scalars(
            select(GroupMember.user_id).where(
                GroupMember.tenant_id == tenant_id, GroupMember.group_id == group_id
            )
        )
    )


def member_counts(
    session: Session, tenant_id: UUID, group_ids: Collection[UUID]
) -> Mapping[UUID, int]:
    """How many users are in each of the groups; a group without any is left out."""
    rows = session.execute(
        select(GroupMember.group_id, func.count())
        .where(GroupMember.tenant_id == tenant_id, GroupMember.group_id.in_(group_ids))
        .group_by(GroupMember.group_id)
    )
    return {row[0]: row[1] for row in rows}


def roles_of(
    session: Session, tenant_id: UUID, group_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[Role]]:
    """The roles that each of the groups gives its members."""
    found: dict[UUID, list[Role]] = {}
    for group_id, role in session.execute(
        select(GroupRole.group_id, Role)
        .join(Role, Role.id == GroupRole.role_id)
        .where(GroupRole.tenant_id == tenant_id, GroupRole.group_id.in_(group_ids))
        .order_by(Role.name)
    ):
        found.setdefault(group_id, []).append(role)
    return found


def set_members(
    session: Session, tenant_id: UUID, group_id: UUID, user_ids: Iterable[UUID]
) -> None:
    """Puts these users into the group, and no others."""
    session.execute(
        delete(GroupMember).where(
            GroupMember.tenant_id == tenant_id, GroupMember.group_id == group_id
        )
    )
    session.add_all(
        GroupMember(tenant_id=tenant_id, group_id=group_id, user_id=each) for each in user_ids
    )
    session.flush()


def set_roles(session: Session, tenant_id: UUID, group_id: UUID, role_ids: Iterable[UUID]) -> None:
    """Gives the group these roles, and no others."""
    session.execute(
        delete(GroupRole).where(GroupRole.tenant_id == tenant_id, GroupRole.group_id == group_id)
    )
    session.add_all(
        GroupRole(tenant_id=tenant_id, group_id=group_id, role_id=each) for each in role_ids
    )
    session.flush()
