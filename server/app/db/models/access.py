"""Users, groups, roles and API keys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, OfTenant, UuidKey


class User(OfTenant, Base):
    """A person who signs in. `email` is in lower case; without a hash there is no sign-in."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("tenant_id", "email"),)

    id: Mapped[UuidKey]
    email: Mapped[str]
    display_name: Mapped[str]
    password_hash: Mapped[str | None]
    password_changed_at: Mapped[datetime | None]
    is_active: Mapped[bool] = mapped_column(default=True)
    #: The sealed key of the second factor; it counts once it was confirmed with a code.
    totp_secret: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    totp_confirmed_at: Mapped[datetime | None]
    #: The time step of the last code that was taken: no code counts twice.
    totp_last_step: Mapped[int | None] = mapped_column(BigInteger)
    last_login_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Group(OfTenant, Base):
    __tablename__ = "groups"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[UuidKey]
    name: Mapped[str]
    created_at: Mapped[datetime]


class GroupMember(OfTenant, Base):
    __tablename__ = "group_members"

    group_id: Mapped[UUID] = mapped_column(
        ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Role(OfTenant, Base):
    """A named set of scopes; `access.scopes` says what each allows."""

    __tablename__ = "roles"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[UuidKey]
    name: Mapped[str]
    scopes: Mapped[list[str]]


class UserRole(OfTenant, Base):
    __tablename__ = "user_roles"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    role_id: Mapped[UUID] = mapped_column(
        ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class GroupRole(OfTenant, Base):
    __tablename__ = "group_roles"

    group_id: Mapped[UUID] = mapped_column(
        ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True
    )
    role_id: Mapped[UUID] = mapped_column(
        ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class ApiKey(OfTenant, Base):
    """A key for programs. Only its SHA-256 is kept; `prefix` is for people to tell keys apart.

    A development key is known to everyone, so it is worth nothing outside `APP_ENV=dev`.
    """

    __tablename__ = "api_keys"

    id: Mapped[UuidKey]
    user_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    #: Of a key that belongs to nobody: who its maker is (`Actor.identity`), if that is such a key.
    made_with: Mapped[str | None]
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(String(16))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]]
    is_development: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class LoginSession(OfTenant, Base):
    """A person signed in. Only the token's SHA-256 is kept."""

    __tablename__ = "login_sessions"
    __table_args__ = (Index("ix_login_sessions_tenant_id_user_id", "tenant_id", "user_id"),)

    id: Mapped[UuidKey]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    #: In a cookie, which needs the CSRF token beside it; else in an Authorization header.
    is_cookie: Mapped[bool]
    address: Mapped[str | None]
    user_agent: Mapped[str | None]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class RecoveryCode(OfTenant, Base):
    """Stands in once for a second factor that was lost. Only its hash is kept."""

    __tablename__ = "recovery_codes"

    id: Mapped[UuidKey]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64))
    used_at: Mapped[datetime | None]


class LoginThrottle(Base):
    """Failed sign-ins of one account or from one address, by the SHA-256 of its name.

    No tenant: it also counts for accounts and tenants that do not exist.
    """

    __tablename__ = "login_throttles"

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    blocked_until: Mapped[datetime | None]
    updated_at: Mapped[datetime]
