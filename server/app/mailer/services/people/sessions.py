"""See and end the sessions of people who are signed in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.access.sessions import SessionTerms
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import LoginSession, Tenant, User
from app.db.repositories.access import sessions, tenants, users
from app.mailer.domain.errors import Conflict, NotFound
from app.mailer.services.people.grants import no_user, user_under


@dataclass(frozen=True, slots=True)
class Oneself:
    """What somebody may know about himself; `user` is None for a key that is nobody's."""

    tenant: Tenant
    user: User | None
    recovery_codes_left: int


def who_am_i(session: Session, actor: Actor) -> Oneself:
    """The actor's tenant, and the person behind him."""
    user = _person_of(session, actor)
    left = 0
    if user is not None:
        left = sessions.count_recovery_codes(session, actor.tenant_id, user.id)
    return Oneself(tenants.tenant(session, actor.tenant_id), user, left)


def page_own_sessions(
    session: Session,
    actor: Actor,
    terms: SessionTerms,
    now: datetime,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[LoginSession]:
    """A page of the sessions that the actor's person has open."""
    if actor.user_id is None:
        return Slice([], None)
    return sessions.page(
        session,
        actor.tenant_id,
        actor.user_id,
        now=now,
        seen_after=terms.seen_after(now),
        order=order,
        after=after,
        limit=limit,
    )


def page_sessions_of(
    session: Session,
    actor: Actor,
    user_id: UUID,
    terms: SessionTerms,
    now: datetime,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[LoginSession]:
    """A page of the sessions that a user has open."""
    require_scope(actor, Scope.ADMIN_USERS)
    if users.user(session, actor.tenant_id, user_id) is None:
        raise no_user(user_id)
    return sessions.page(
        session,
        actor.tenant_id,
        user_id,
        now=now,
        seen_after=terms.seen_after(now),
        order=order,
        after=after,
        limit=limit,
    )


def sign_out(session: Session, actor: Actor, now: datetime) -> None:
    """Ends the session that the actor came with; a key has none."""
    if actor.session_id is None or actor.user_id is None:
        raise Conflict("A key cannot sign out.", "To end a key, revoke it.")
    _end_own(session, actor, actor.user_id, actor.session_id, now)


def revoke_own_session(session: Session, actor: Actor, session_id: UUID, now: datetime) -> None:
    """Ends one of the sessions of the actor's person."""
    if actor.user_id is None:
        raise _no_session(session_id)
    _end_own(session, actor, actor.user_id, session_id, now)


def revoke_sessions_of(session: Session, actor: Actor, user_id: UUID, now: datetime) -> int:
    """Ends all sessions of a user; answers how many that were."""
    require_scope(actor, Scope.ADMIN_USERS)
    user = user_under(session, actor, user_id)
    ended = sessions.revoke(session, actor.tenant_id, user_id, now)
    if ended:
        details = {"email": user.email, "sessions_ended": ended}
        log.record(session, actor, "user.sessions_revoked", "user", user_id, details, now)
    return ended


def _end_own(
    session: Session, actor: Actor, user_id: UUID, session_id: UUID, now: datetime
) -> None:
    if not sessions.revoke(session, actor.tenant_id, user_id, now, session_id=session_id):
        raise _no_session(session_id)
    log.record(session, actor, "session.ended", "session", session_id, {}, now)


def _person_of(session: Session, actor: Actor) -> User | None:
    if actor.user_id is None:
        return None
    return users.user(session, actor.tenant_id, actor.user_id)


def _no_session(session_id: UUID) -> NotFound:
    return NotFound(f"There is no session {session_id} of yours.")
