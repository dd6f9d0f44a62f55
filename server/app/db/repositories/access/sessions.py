"""Queries about people who are signed in, and their recovery codes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, not_, select, update
from sqlalchemy.orm import Session

from app.db.keyset import Order, Slice, Sortable, fetch
from app.db.models import LoginSession, RecoveryCode

SORTABLE: dict[str, Sortable] = {
    "last_seen_at": LoginSession.last_seen_at,
    "created_at": LoginSession.created_at,
}
KEY = LoginSession.id


def session_by_hash(session: Session, token_hash: str) -> LoginSession | None:
    """The session of this hash, of whatever tenant: the query that finds out whose it is."""
    return session.scalar(select(LoginSession).where(LoginSession.token_hash == token_hash))


def add_session(session: Session, tenant_id: UUID, opened: LoginSession) -> LoginSession:
    opened.tenant_id = tenant_id
    session.add(opened)
    session.flush()
    return opened


def note_seen(session: Session, tenant_id: UUID, session_id: UUID, now: datetime) -> None:
    session.execute(
        update(LoginSession)
        .where(
            LoginSession.tenant_id == tenant_id,
            LoginSession.id == session_id,
            LoginSession.last_seen_at < now,
        )
        .values(last_seen_at=now)
    )


def page(
    session: Session,
    tenant_id: UUID,
    user_id: UUID,
    *,
    now: datetime,
    seen_after: datetime,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[LoginSession]:
    """A page of the user's sessions that count: not ended, not too old, used after `seen_after`."""
    query = select(LoginSession).where(
        LoginSession.tenant_id == tenant_id,
        LoginSession.user_id == user_id,
        _counts(now, seen_after),
    )
    return fetch(session, query, order, after=after, limit=limit)


def revoke(
    session: Session,
    tenant_id: UUID,
    user_id: UUID,
    now: datetime,
    *,
    session_id: UUID | None = None,
) -> int:
    """Ends all sessions of the user, or one of them; answers how many that were."""
    query = (
        update(LoginSession)
        .where(
            LoginSession.tenant_id == tenant_id,
            LoginSession.user_id == user_id,
            LoginSession.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )
    if session_id is not None:
        query = query.where(LoginSession.id == session_id)
    return len(session.scalars(query.returning(LoginSession.id)).all())


def forget_ended(
    session: Session, tenant_id: UUID, user_id: UUID, *, now: datetime, seen_after: datetime
) -> None:
    """Deletes the user's sessions that count no more; the audit log keeps that they were."""
    session.execute(
        delete(LoginSession).where(
            LoginSession.tenant_id == tenant_id,
            LoginSession.user_id == user_id,
            not_(_counts(now, seen_after)),
        )
    )


def _counts(now: datetime, seen_after: datetime) -> ColumnElement[bool]:
    return and_(
        LoginSession.revoked_at.is_(None),
        LoginSession.expires_at > now,
        LoginSession.last_seen_at > seen_after,
    )


# -- recovery codes


def set_recovery_codes(
    session: Session, tenant_id: UUID, user_id: UUID, code_hashes: Iterable[str]
) -> None:
    """Gives the user these codes; those before count no more."""
    session.execute(
        delete(RecoveryCode).where(
            RecoveryCode.tenant_id == tenant_id, RecoveryCode.user_id == user_id
        )
    )
    session.add_all(
        RecoveryCode(tenant_id=tenant_id, user_id=user_id, code_hash=each) for each in code_hashes
    )
    session.flush()


def use_recovery_code(
    session: Session, tenant_id: UUID, user_id: UUID, code_hash: str, now: datetime
) -> bool:
    """Uses a code up; False where the user has no such code that was not used yet."""
    used = session.scalar(
        update(RecoveryCode)
        .where(
            RecoveryCode.tenant_id == tenant_id,
            RecoveryCode.user_id == user_id,
            RecoveryCode.code_hash == code_hash,
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(RecoveryCode.id)
    )
    return used is not None


def count_recovery_codes(session: Session, tenant_id: UUID, user_id: UUID) -> int:
    """How many codes the user has left."""
    return len(
        session.scalars(
            select(RecoveryCode.id).where(
                RecoveryCode.tenant_id == tenant_id,
                RecoveryCode.user_id == user_id,
                RecoveryCode.used_at.is_(None),
            )
        ).all()
    )
