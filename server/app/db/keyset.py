"""Pages of long lists by keyset: the next page begins behind the last row, wherever it stands.

An OFFSET reads and throws away all rows before it, and slips when rows are added meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, TypeDecorator, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

Row = TypeVar("Row")
Sortable = ColumnElement[Any] | InstrumentedAttribute[Any]


@dataclass(frozen=True, slots=True)
class Order:
    """What a list is sorted by: `by` (never NULL), then `key`, which no two rows share."""

    by: Sortable
    key: Sortable
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """Some rows, and where the next ones begin (None: there are none)."""

    rows: Sequence[Row]
    next_after: tuple[Any, Any] | None


def fetch(
    session: Session,
    query: Select[Any],
    order: Order,
    *,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Any]:
    """The next `limit` entities of `query` (one entity a row) behind `after`.

    `after` has the values of `order.by` and `order.key` of the last row of the page before.
    """
    if after is not None:
        place = tuple_(order.by, order.key)
        last = tuple_(literal(after[0], order.by.type), literal(after[1], order.key.type))
        query = query.where(place < last if order.descending else place > last)
    ordered = (order.by.desc(), order.key.desc()) if order.descending else (order.by, order.key)
    found = session.execute(
        query.add_columns(order.by, order.key).order_by(*ordered).limit(limit + 1)
    ).all()
    more = len(found) > limit
    found = found[:limit]
    return Slice(
        [row[0] for row in found],
        (found[-1][-2], found[-1][-1]) if more else None,
    )


def python_type(expression: Sortable) -> type[Any]:
    """The type of a sort expression's values: `str`, `int`, `float`, `datetime` or `UUID`."""
    of = expression.type
    # SQLAlchemy answers `object` for every decorator.
    kind: type[Any] = (of.impl_instance if isinstance(of, TypeDecorator) else of).python_type
    for known in (datetime, UUID, int, float, str):
        if issubclass(kind, known):
            return known
    raise TypeError(f"Nothing can be sorted by a {kind.__name__}.")
