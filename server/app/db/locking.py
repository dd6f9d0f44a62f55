"""Rows that nobody else may change before the transaction ends."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, text
from sqlalchemy.orm import Session

Query = TypeVar("Query", bound=Select[Any])


def locked(query: Query, *, key_share: bool = False) -> Query:
    """`query`, its rows locked and as they are stored once the lock is held: what was read before
    may have changed while it was waited for. With `key_share` others may still refer to the rows.
    """
    locking: Query = query.with_for_update(key_share=key_share)
    return locking.execution_options(populate_existing=True)


def await_pause(session: Session, campaign_id: UUID) -> None:
    """Before a campaign's letters pass the point of no return: let a pause that is under way end.

    The statement that looks for a pause must come after this one, to see it.
    """
    _pause_lock(session, "pg_advisory_xact_lock_shared", campaign_id)


def hold_dots(session: Session, campaign_id: UUID) -> None:
    """Before a pause is written: let all commits of the campaign's letters end, and none begin."""
    _pause_lock(session, "pg_advisory_xact_lock", campaign_id)


def _pause_lock(session: Session, function: str, campaign_id: UUID) -> None:
    # Whoever writes on SQLite is alone anyway.
    if session.get_bind().dialect.name == "postgresql":
        number = int.from_bytes(campaign_id.bytes[8:], signed=True)
        session.execute(text(f"SELECT {function}(:number)"), {"number": number})
