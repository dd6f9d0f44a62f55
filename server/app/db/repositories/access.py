"""Queries about tenants, users, groups, roles and API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app.db.models import ApiKey, GroupMember, GroupRole, Role, Tenant, User, UserRole


def tenant_by_slug(session: Session, slug: str) -> Tenant | None:
    return session.scalar(select(Tenant).where(Tenant.slug == slug))


def add_tenant(session: Session, tenant: Tenant) -> Tenant:
    session.add(tenant)
    session.flush()
    return tenant


def user(session: Session, tenant_id: UUID, user_id: UUID) -> User | None:
    return session.scalar(select(User).where(User.tenant_id == tenant_id, User.id == user_id))


def user_by_email(session: Session, tenant_id: UUID, email: str) -> User | None:
    """The user of this address, compared without case."""
    return session.scalar(
        select(User).where(User.tenant_id == tenant_id, User.email == email.lower())
    )


def add_user(session: Session, tenant_id: UUID, user: User) -> User:
    user.tenant_id = tenant_id
    user.email = user.email.lower()
    session.add(user)
    session.flush()
    return user


def role_by_name(session: Session, tenant_id: UUID, name: str) -> Role | None:
    return session.scalar(select(Role).where(Role.tenant_id == tenant_id, Role.name == name))


def add_role(session: Session, tenant_id: UUID, role: Role) -> Role:
    role.tenant_id = tenant_id
    session.add(role)
    session.flush()
    return role


def grant_role(session: Session, tenant_id: UUID, user_id: UUID, role_id: UUID) -> None:
    session.add(UserRole(tenant_id=tenant_id, user_id=user_id, role_id=role_id))
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


def api_key_by_hash(session: Session, key_hash: str) -> ApiKey | None:
    """The key of this hash, of whatever tenant: the one query that finds out whose it is."""
    return session.scalar(select(ApiKey).where(ApiKey.key_hash == key_hash))


def api_keys(session: Session, tenant_id: UUID) -> Sequence[ApiKey]:
    """All keys of the tenant, newest first, the revoked ones too."""
    return session.scalars(
        select(ApiKey).where(ApiKey.tenant_id == tenant_id).order_by(ApiKey.created_at.desc())
    ).all()


def add_api_key(session: Session, tenant_id: UUID, key: ApiKey) -> ApiKey:
    key.tenant_id = tenant_id
    session.add(key)
    session.flush()
    return key


def note_api_key_use(session: Session, tenant_id: UUID, key_id: UUID, now: datetime) -> None:
    session.execute(
        update(ApiKey)
        .where(ApiKey.tenant_id == tenant_id, ApiKey.id == key_id)
        .values(last_used_at=now)
    )


def revoke_api_key(session: Session, tenant_id: UUID, key_id: UUID, now: datetime) -> bool:
    """Ends a key; False where there is none that still counts."""
    revoked = session.scalar(
        update(ApiKey)
        .where(ApiKey.tenant_id == tenant_id, ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(ApiKey.id)
    )
    return revoked is not None
