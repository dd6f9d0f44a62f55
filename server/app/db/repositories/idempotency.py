"""Queries about answers kept for requests that are repeated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.models import IdempotencyKey

#: As long an answer is kept.
KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Place:
    """Whose key it is."""

    tenant_id: UUID
    actor_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A request that had this key before; `answer` is sealed, None: it has none yet."""

    request_sha256: str
    answer: bytes | None
    created_at: datetime


def reserve(session: Session, place: Place, now: datetime) -> Kept | None:
    """Take the key for a request; whoever had it before, or None: it is free, and ours now."""
    session.execute(
        delete(IdempotencyKey).where(*_at(place), IdempotencyKey.created_at < now - KEPT)
    )
    for _ in range(2):
        row = session.scalar(
            select(IdempotencyKey).where(*_at(place)).execution_options(populate_existing=True)
        )
        if row is not None:
            return Kept(row.request_sha256, row.answer, row.created_at)
        try:
            with session.begin_nested():
                session.add(
                    IdempotencyKey(
                        tenant_id=place.tenant_id,
                        actor_id=place.actor_id,
                        key=place.key,
                        # Known when the body was read.
                        request_sha256="",
                        created_at=now,
                    )
                )
        except IntegrityError:
            continue
        return None
    raise AssertionError("a key that could not be added must be there")


def keep(
    session: Session, place: Place, reserved_at: datetime, request_sha256: str, answer: bytes
) -> None:
    """Keep the answer for the next request of this key."""
    session.execute(
        update(IdempotencyKey)
        .where(
            *_at(place),
            IdempotencyKey.created_at == reserved_at,
            IdempotencyKey.answer.is_(None),
        )
        .values(request_sha256=request_sha256, answer=answer)
    )


def release(session: Session, place: Place, reserved_at: datetime) -> None:
    """Give the key back: nothing came of the request."""
    session.execute(
        delete(IdempotencyKey).where(
            *_at(place),
            IdempotencyKey.created_at == reserved_at,
            IdempotencyKey.answer.is_(None),
        )
    )


def forget(session: Session, now: datetime) -> None:
    """Delete what is too old, of all tenants."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT))


def _at(place: Place) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyKey.tenant_id == place.tenant_id,
        IdempotencyKey.actor_id == place.actor_id,
        IdempotencyKey.key == place.key,
    )
