"""A tenant's own settings."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.models import Tenant
from app.db.repositories.access import tenants
from app.mailer.domain.delivery.approval import Approval, is_looser


class TenantChanges(TypedDict, total=False):
    """What is to be changed; what is left out stays. The fields are those of `Tenant`."""

    name: str
    approval: Approval
    jinja_allowed: bool
    already_sent_days: int
    quota_bytes: int | None


def get_tenant(session: Session, actor: Actor) -> Tenant:
    require_scope(actor, Scope.ADMIN_TENANT)
    return tenants.tenant(session, actor.tenant_id)


def update_tenant(session: Session, actor: Actor, changes: TenantChanges, now: datetime) -> Tenant:
    """Changes what `changes` names; less approval than before needs `campaign:approve`."""
    require_scope(actor, Scope.ADMIN_TENANT)
    tenant = tenants.lock_tenant(session, actor.tenant_id)
    if is_looser(changes.get("approval", tenant.approval), tenant.approval):
        require_scope(actor, Scope.CAMPAIGN_APPROVE)
    before = _told(tenant)
    for name, value in changes.items():
        setattr(tenant, name, value)
    if before != _told(tenant):
        session.flush()
        log.record(
            session,
            actor,
            "tenant.updated",
            "tenant",
            tenant.id,
            {},
            now,
            before=before,
            after=_told(tenant),
        )
    return tenant


def _told(tenant: Tenant) -> dict[str, object]:
    return {name: getattr(tenant, name) for name in TenantChanges.__annotations__}
