"""Queries about failed sign-ins. No tenant: they also count for what does not exist."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import case, delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.db.models import LoginThrottle


def lock(session: Session, key_hash: str, now: datetime) -> LoginThrottle:
    """The row of this key, made where it is absent, and held until the transaction ends.

    Whoever locks several does so in the order of their keys, so that no two wait for each other.
    """
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    query = dialect.insert(LoginThrottle).values(key_hash=key_hash, failures=0, updated_at=now)
    found: LoginThrottle = session.scalars(
        # Changes nothing, but locks the row and gives it back as it is now.
        query.on_conflict_do_update(
            index_elements=["key_hash"], set_={"updated_at": LoginThrottle.updated_at}
        ).returning(LoginThrottle),
        execution_options={"populate_existing": True},
    ).one()
    return found


def give_back(session: Session, key_hash: str, blocked_until: datetime | None) -> None:
    """Takes one failure away, and the block that it made, where no other try made one since."""
    session.execute(
        update(LoginThrottle)
        .where(LoginThrottle.key_hash == key_hash, LoginThrottle.failures > 0)
        .values(
            failures=LoginThrottle.failures - 1,
            blocked_until=case(
                (LoginThrottle.blocked_until == blocked_until, None),
                else_=LoginThrottle.blocked_until,
            ),
        )
    )


def reset(session: Session, key_hash: str) -> None:
    session.execute(
        update(LoginThrottle)
        .where(LoginThrottle.key_hash == key_hash)
        .values(failures=0, blocked_until=None)
    )


def forget(session: Session, before: datetime) -> None:
    """Deletes the rows that have counted nothing since `before`."""
    session.execute(delete(LoginThrottle).where(LoginThrottle.updated_at < before))
