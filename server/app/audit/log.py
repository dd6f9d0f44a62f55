"""The audit log: who did what to which thing, in one chain without gaps for each tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit.redaction import changes, redact
from app.db.keyset import Order, Slice, fetch
from app.db.models import AuditEntry
from app.db.repositories import audit
from app.db.repositories.audit import AuditFilter
from app.mailer.domain.storable import clean_text


def record(
    session: Session,
    actor: Actor,
    action: str,
    object_type: str,
    object_id: object,
    details: Mapping[str, object],
    now: datetime,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> AuditEntry:
    """Writes down that `actor` did `action` (`campaign.queued`) to an object, within the
    transaction that does it: both are kept, or neither.

    `before` and `after` are the object's members then and now; only those that differ are kept (all
    of them where there is only one side: it was made, or deleted). Values under keys that sound
    like secrets are redacted. The entry takes its place in the chain as the transaction commits.
    """
    old, new = changes(before, after)
    return audit.add_entry(
        session,
        actor.tenant_id,
        AuditEntry(
            id=uuid4(),
            at=now,
            actor_kind=actor.kind.value,
            actor_id=clean_text(actor.id),
            actor_name=clean_text(actor.name),
            address=None if actor.address is None else clean_text(actor.address),
            action=action,
            object_type=object_type,
            object_id=clean_text(str(object_id)),
            details=redact(details),
            before=old,
            after=new,
        ),
    )


def list_entries(
    session: Session, actor: Actor, filters: AuditFilter | None = None
) -> Sequence[AuditEntry]:
    """The entries of the actor's tenant, newest first; needs the scope `audit:read`."""
    require_scope(actor, Scope.AUDIT_READ)
    return audit.entries(session, actor.tenant_id, filters or AuditFilter())


def page_entries(
    session: Session,
    actor: Actor,
    filters: AuditFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
) -> Slice[AuditEntry]:
    """A page of them in another order, from `after` on; needs the scope `audit:read`."""
    require_scope(actor, Scope.AUDIT_READ)
    query = audit.matching(actor.tenant_id, filters).offset(filters.offset)
    return fetch(session, query, order, after=after, limit=filters.limit)
