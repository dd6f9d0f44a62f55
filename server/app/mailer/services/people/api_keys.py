"""Administer API keys."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.keys import NewApiKey, create_api_key
from app.access.scopes import Scope, known_scopes
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import ApiKey
from app.db.repositories.access import keys
from app.mailer.domain.errors import MailerError, NotFound
from app.mailer.services.people.grants import require_all

#: Far enough for "never", near enough for every calendar.
_LONGEST = timedelta(days=36_500)


def page_keys(
    session: Session,
    actor: Actor,
    *,
    user_id: UUID | None,
    usable_at: datetime | None,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[ApiKey]:
    """A page of the tenant's keys, of one user or those that still count where asked."""
    require_scope(actor, Scope.ADMIN_KEYS)
    return keys.page(
        session,
        actor.tenant_id,
        user_id=user_id,
        usable_at=usable_at,
        order=order,
        after=after,
        limit=limit,
    )


def get_key(session: Session, actor: Actor, key_id: UUID) -> ApiKey:
    require_scope(actor, Scope.ADMIN_KEYS)
    found = keys.api_key(session, actor.tenant_id, key_id)
    if found is None:
        raise NotFound(f"There is no API key {key_id}.")
    return found


def make_key(
    session: Session,
    actor: Actor,
    name: str,
    scopes: Collection[str],
    expires_at: datetime | None,
    now: datetime,
) -> NewApiKey:
    """A new key with some of the actor's own scopes; it belongs to the person behind the actor.

    Where nobody is, both keys are one and the same for whoever asks for a second person.
    """
    require_scope(actor, Scope.ADMIN_KEYS)
    chosen = known_scopes(scopes)
    require_all(actor, chosen)
    if expires_at is not None and not now < expires_at <= now + _LONGEST:
        raise MailerError(
            f"A key cannot expire at {expires_at.isoformat()}.",
            "Name a time to come, within a hundred years, or none.",
        )
    key = create_api_key(
        session,
        actor.tenant_id,
        name,
        chosen,
        now,
        user_id=actor.user_id,
        made_with=None if actor.user_id is not None else actor.identity,
        expires_at=expires_at,
    )
    log.record(
        session,
        actor,
        "api_key.created",
        "api_key",
        key.id,
        {},
        now,
        after={"name": name, "prefix": key.prefix, "scopes": chosen, "expires_at": expires_at},
    )
    return key


def revoke_key(session: Session, actor: Actor, key_id: UUID, now: datetime) -> ApiKey:
    """Ends a key for good; one that was revoked before stays as it was.

    Another's key only where the actor holds all that it may: nobody stops who may do more.
    """
    key = get_key(session, actor, key_id)
    is_own = actor.id == str(key_id) or (actor.user_id is not None and actor.user_id == key.user_id)
    if not is_own:
        require_all(actor, key.scopes)
    if keys.revoke_api_key(session, actor.tenant_id, key_id, now):
        details = {"name": key.name, "prefix": key.prefix}
        log.record(session, actor, "api_key.revoked", "api_key", key_id, details, now)
    return key
