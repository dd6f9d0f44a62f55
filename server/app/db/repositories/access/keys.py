"""Queries about API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import ApiKey

SORTABLE: dict[str, Sortable] = {
    "created_at": ApiKey.created_at,
    "name": ApiKey.name,
    # A key that was never used stands where it was made.
    "last_used_at": func.coalesce(ApiKey.last_used_at, ApiKey.created_at),
}
KEY = ApiKey.id


def api_key(session: Session, tenant_id: UUID, key_id: UUID) -> ApiKey | None:
    return session.scalar(select(ApiKey).where(ApiKey.tenant_id == tenant_id, ApiKey.id == key_id))


def api_key_by_hash(session: Session, key_hash: str) -> ApiKey | None:
    """The key of this hash, of whatever tenant: the one query that finds out whose it is."""
    return session.scalar(select(ApiKey).where(ApiKey.key_hash == key_hash))


def api_keys(session: Session, tenant_id: UUID) -> Sequence[ApiKey]:
    """All keys of the tenant, newest first, the revoked ones too."""
    return session.scalars(
        select(ApiKey).where(ApiKey.tenant_id == tenant_id).order_by(ApiKey.created_at.desc())
    ).all()


def page(
    session: Session,
    tenant_id: UUID,
    *,
    user_id: UUID | None,
    usable_at: datetime | None,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[ApiKey]:
    """A page of the tenant's keys: of one user, or only those that still count, where asked."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id)
    if user_id is not None:
        query = query.where(ApiKey.user_id == user_id)
    if usable_at is not None:
        query = query.where(
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > usable_at),
        )
    return fetch(session, query, order, after=after, limit=limit)


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
