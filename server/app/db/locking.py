"""Rows that nobody else may change before the transaction ends."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Select

Query = TypeVar("Query", bound=Select[Any])


def locked(query: Query, *, key_share: bool = False) -> Query:
    """`query`, its rows locked and as they are stored once the lock is held: what was read before
    may have changed while it was waited for. With `key_share` others may still refer to the rows.
    """
    locking: Query = query.with_for_update(key_share=key_share)
    return locking.execution_options(populate_existing=True)
