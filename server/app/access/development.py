"""What a fresh development database starts with; never anywhere else."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from pydantic import SecretStr
from sqlalchemy.orm import Session

from app.access.keys import create_api_key, hash_key
from app.access.passwords import DEVELOPMENT_PASSWORD, hash_password
from app.access.roles import OWNER, found_tenant
from app.access.scopes import Scope
from app.db.models import Role, Tenant, User
from app.db.repositories import access
from app.mailer.domain.errors import ConfigurationError

TENANT = "default"
USER = "admin@example.local"
PASSWORD = DEVELOPMENT_PASSWORD


class DevelopmentSettings(Protocol):
    """The part of the settings that matters here; `Settings` has it."""

    @property
    def is_dev(self) -> bool: ...
    @property
    def dev_api_key(self) -> SecretStr | None: ...


def refuse_outside_development(settings: DevelopmentSettings) -> None:
    if not settings.is_dev:
        raise ConfigurationError(
            "Development data is for APP_ENV=dev alone.",
            "Leave --with-dev-data out, or set APP_ENV=dev.",
        )


def bootstrap_dev_data(session: Session, settings: DevelopmentSettings, now: datetime) -> Tenant:
    """The tenant `default`, its owner `admin@example.local` and the development key.

    Done twice, it changes nothing. Outside `APP_ENV=dev` it raises `ConfigurationError`, since
    everybody knows this password and this key.
    """
    refuse_outside_development(settings)
    tenant = access.tenant_by_slug(session, TENANT)
    if tenant is None:
        tenant = found_tenant(session, TENANT, "Default", now)
    user = access.user_by_email(session, tenant.id, USER)
    if user is None:
        user = User(
            tenant_id=tenant.id,
            email=USER,
            display_name="Development admin",
            password_hash=hash_password(PASSWORD),
            is_active=True,
            created_at=now,
        )
        access.add_user(session, tenant.id, user)
        role = access.role_by_name(session, tenant.id, OWNER)
        if role is None:
            owner = Role(name=OWNER, scopes=[Scope.EVERYTHING])
            role = access.add_role(session, tenant.id, owner)
        access.grant_role(session, tenant.id, user.id, role.id)
    secret = settings.dev_api_key.get_secret_value() if settings.dev_api_key else ""
    if secret and access.api_key_by_hash(session, hash_key(secret)) is None:
        create_api_key(
            session,
            tenant.id,
            "Development key",
            [Scope.EVERYTHING],
            now,
            user_id=user.id,
            development_secret=secret,
        )
    return tenant
