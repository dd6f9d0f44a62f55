"""The roles that a tenant begins with; its administrators may change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.access.scopes import Scope
from app.db.models import Role, Tenant
from app.db.repositories import access

OWNER = "owner"
FIRST_ROLES: Mapping[str, Sequence[str]] = {
    OWNER: [Scope.EVERYTHING],
    "editor": [
        Scope.CAMPAIGN_READ,
        Scope.CAMPAIGN_WRITE,
        Scope.CAMPAIGN_BUILD,
        Scope.FILES_READ,
        Scope.FILES_WRITE,
        Scope.ACCOUNTS_READ,
    ],
    "approver": [Scope.CAMPAIGN_READ, Scope.CAMPAIGN_APPROVE, Scope.FILES_READ],
    "sender": [
        Scope.CAMPAIGN_READ,
        Scope.CAMPAIGN_SEND,
        Scope.REPORTS_SEND,
        Scope.ACCOUNTS_READ,
    ],
    "viewer": [Scope.CAMPAIGN_READ],
    "auditor": [Scope.CAMPAIGN_READ, Scope.AUDIT_READ],
}


def found_tenant(session: Session, slug: str, name: str, now: datetime) -> Tenant:
    """A new tenant with its first roles."""
    tenant = access.add_tenant(session, Tenant(slug=slug, name=name, created_at=now))
    for role, scopes in FIRST_ROLES.items():
        access.add_role(session, tenant.id, Role(name=role, scopes=[str(each) for each in scopes]))
    return tenant
