"""Queries about users, and about what their roles and groups let them do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CompoundSelect, Select, delete, func, literal, or_, select, union, update
from sqlalchemy.orm import Session, undefer

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.locking import locked
from app.db.models import (
    CampaignVersion,
    Group,
    GroupMember,
    GroupRole,
    Role,
    Tenant,
    User,
    UserRole,
)

SORTABLE: dict[str, Sortable] = {
    "email": User.email,
    "display_name": User.display_name,
    "created_at": User.created_at,
}
KEY = User.id


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users are wanted; what is None is not asked for. `text` is part of address or name."""

    text: str | None = None
    is_active: bool | None = None
    role_id: UUID | None = None
    group_id: UUID | None = None


def user(session: Session, tenant_id: UUID, user_id: UUID) -> User | None:
    return session.scalar(select(User).where(User.tenant_id == tenant_id, User.id == user_id))


def lock_user(session: Session, tenant_id: UUID, user_id: UUID) -> User | None:
    """The user as stored now, with the second factor; nobody else changes the row until the
    transaction ends.
    """
    own = select(User).where(User.tenant_id == tenant_id, User.id == user_id)
    return session.scalar(locked(own.options(undefer(User.totp_secret)), key_share=True))


def user_by_email(session: Session, tenant_id: UUID, email: str) -> User | None:
    """The user of this address, compared without case."""
    return session.scalar(
        select(User).where(User.tenant_id == tenant_id, User.email == email.lower())
    )


def user_to_sign_in(session: Session, slug: str, email: str) -> User | None:
    """The user of this address in the tenant of this slug: one query, whichever is unknown."""
    return session.scalar(
        select(User)
        .join(Tenant, Tenant.id == User.tenant_id)
        .where(Tenant.slug == slug.lower(), User.email == email.lower())
    )


def add_user(session: Session, tenant_id: UUID, user: User) -> User:
    user.tenant_id = tenant_id
    user.email = user.email.lower()
    session.add(user)
    session.flush()
    return user


def delete_user(session: Session, tenant_id: UUID, user_id: UUID) -> None:
    """With everything that is only his: sessions, keys, recovery codes, memberships."""
    # The versions that he has the edit lock of, in the order in which everybody locks several.
    session.scalars(
        select(CampaignVersion.id)
        .where(CampaignVersion.tenant_id == tenant_id, CampaignVersion.locked_by_user_id == user_id)
        .order_by(CampaignVersion.id)
        .with_for_update()
    ).all()
    session.execute(delete(User).where(User.tenant_id == tenant_id, User.id == user_id))


def page(
    session: Session,
    tenant_id: UUID,
    wanted: UserFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[User]:
    """A page of the tenant's users that fit."""
    query = select(User).where(User.tenant_id == tenant_id)
    if wanted.text:
        text = wanted.text.lower()
        query = query.where(
            or_(
                User.email.contains(text, autoescape=True),
                func.lower(User.display_name).contains(text, autoescape=True),
            )
        )
    if wanted.is_active is not None:
        query = query.where(User.is_active.is_(wanted.is_active))
    if wanted.role_id is not None:
        query = query.where(User.id.in_(_users_with_any(tenant_id, [wanted.role_id])))
    if wanted.group_id is not None:
        query = query.where(
            User.id.in_(
                select(GroupMember.user_id).where(
                    GroupMember.tenant_id == tenant_id, GroupMember.group_id == wanted.group_id
                )
            )
        )
    return fetch(session, query, order, after=after, limit=limit)


def known(session: Session, tenant_id: UUID, user_ids: Collection[UUID]) -> set[UUID]:
    """Those of `user_ids` that are users of the tenant."""
    return set(
        session.scalars(select(User.id).where(User.tenant_id == tenant_id, User.id.in_(user_ids)))
    )


# -- roles of users


def grant_role(session: Session, tenant_id: UUID, user_id: UUID, role_id: UUID) -> None:
    session.add(UserRole(tenant_id=tenant_id, user_id=user_id, role_id=role_id))
    session.flush()


def set_roles(session: Session, tenant_id: UUID, user_id: UUID, role_ids: Iterable[UUID]) -> None:
    """Gives the user these roles and no others; those of his groups stay."""
    session.execute(
        delete(UserRole).where(UserRole.tenant_id == tenant_id, UserRole.user_id == user_id)
    )
    session.add_all(
        UserRole(tenant_id=tenant_id, user_id=user_id, role_id=each) for each in role_ids
    )
    session.flush()


def scopes_of_user(session: Session, tenant_id: UUID, user_id: UUID) -> frozenset[str]:
    """The scopes of all roles that the user has, by himself and through his groups."""
    direct = select(UserRole.role_id).where(
        UserRole.tenant_id == tenant_id, UserRole.user_id == user_id
    )
    by_group = (
        select(GroupRole.role_id)
        .join(GroupMember, GroupMember.group_id == GroupRole.group_id)
        .where(GroupRole.tenant_id == tenant_id, GroupMember.user_id == user_id)
    )
    roles = select(Role.scopes).where(
        Role.tenant_id == tenant_id, or_(Role.id.in_(direct), Role.id.in_(by_group))
    )
    return frozenset(scope for scopes in session.scalars(roles) for scope in scopes)


def roles_of(
    session: Session, tenant_id: UUID, user_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[tuple[UUID, str]]]:
    """Id and name of the roles that each of the users has by himself."""
    return _named(
        session,
        select(UserRole.user_id, Role.id, Role.name)
        .join(Role, Role.id == UserRole.role_id)
        .where(UserRole.tenant_id == tenant_id, UserRole.user_id.in_(user_ids))
        .order_by(Role.name),
    )


def groups_of(
    session: Session, tenant_id: UUID, user_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[tuple[UUID, str]]]:
    """Id and name of the groups that each of the users is in."""
    return _named(
        session,
        select(GroupMember.user_id, Group.id, Group.name)
        .join(Group, Group.id == GroupMember.group_id)
        .where(GroupMember.tenant_id == tenant_id, GroupMember.user_id.in_(user_ids))
        .order_by(Group.name),
    )


def can_anyone_sign_in_with(session: Session, tenant_id: UUID, role_ids: Collection[UUID]) -> bool:
    """Whether an active user with a password has one of the roles, also through a group."""
    return bool(
        session.scalar(
            select(literal(1))
            .where(
                User.tenant_id == tenant_id,
                User.is_active.is_(True),
                User.password_hash.is_not(None),
                User.id.in_(_users_with_any(tenant_id, role_ids)),
            )
            .limit(1)
        )
    )


def _users_with_any(tenant_id: UUID, role_ids: Collection[UUID]) -> CompoundSelect[Any]:
    return union(
        select(UserRole.user_id).where(
            UserRole.tenant_id == tenant_id, UserRole.role_id.in_(role_ids)
        ),
        select(GroupMember.user_id)
        .join(GroupRole, GroupRole.group_id == GroupMember.group_id)
        .where(GroupMember.tenant_id == tenant_id, GroupRole.role_id.in_(role_ids)),
    )


def _named(
    session: Session, query: Select[UUID, UUID, str]
) -> Mapping[UUID, Sequence[tuple[UUID, str]]]:
    found: dict[UUID, list[tuple[UUID, str]]] = {}
    for owner, key, name in session.execute(query):
        found.setdefault(owner, []).append((key, name))
    return found


# -- signing in


def note_login(session: Session, tenant_id: UUID, user_id: UUID, now: datetime) -> None:
    session.execute(
        update(User)
        .where(User.tenant_id == tenant_id, User.id == user_id)
        .values(last_login_at=now)
    )


def take_totp_step(session: Session, tenant_id: UUID, user_id: UUID, step: int) -> bool:
    """Uses up the time step of a code; False where it, or a later one, was used before."""
    taken = session.scalar(
        update(User)
        .where(
            User.tenant_id == tenant_id,
            User.id == user_id,
            or_(User.totp_last_step.is_(None), User.totp_last_step < step),
        )
        .values(totp_last_step=step)
        .returning(User.id)
    )
    return taken is not None
