"""The audit log: who did what to which thing, in one sequence without gaps for each tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit.redaction import redact
from app.db.models import AuditEntry
from app.db.repositories import audit
from app.db.repositories.audit import AuditFilter


def record(
    session: Session,
    actor: Actor,
    action: str,
    object_type: str,
    object_id: object,
    details: Mapping[str, object],
    now: datetime,
) -> AuditEntry:
    """Writes down that `actor` did `action` (`campaign.queued`) to an object, within the
    transaction that does it: both are kept, or neither.

    Values in `details` under keys that sound like secrets are redacted. Record late in the
    transaction: until its end no other of the tenant can record.
    """
    return audit.add_entry(
        session,
        actor.tenant_id,
        AuditEntry(
            at=now,
            actor_kind=actor.kind.value,
            actor_id=actor.id,
            actor_name=actor.name,
            action=action,
            object_type=object_type,
            object_id=str(object_id),
            details=redact(details),
        ),
    )


def list_entries(
    session: Session, actor: Actor, filters: AuditFilter | None = None
) -> Sequence[AuditEntry]:
    """The entries of the actor's tenant, newest first; needs the scope `audit:read`."""
    require_scope(actor, Scope.AUDIT_READ)
    return audit.entries(session, actor.tenant_id, filters or AuditFilter())
