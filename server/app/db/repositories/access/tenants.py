"""Queries about tenants."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import Tenant


def tenant_by_slug(session: Session, slug: str) -> Tenant | None:
    return session.scalar(select(Tenant).where(Tenant.slug == slug))


def tenant(session: Session, tenant_id: UUID) -> Tenant:
    return session.scalars(select(Tenant).where(Tenant.id == tenant_id)).one()


def add_tenant(session: Session, tenant: Tenant) -> Tenant:
    session.add(tenant)
    session.flush()
    return tenant


def lock_tenant(session: Session, tenant_id: UUID) -> Tenant:
    """The tenant, which nobody else can lock until the transaction ends.

    On Postgres the lock that inserts of rows which refer to the tenant do not wait for; on SQLite a
    transaction that may write is alone anyway.
    """
    return session.scalars(
        select(Tenant).where(Tenant.id == tenant_id).with_for_update(key_share=True)
    ).one()
