"""Pages of lists: an opaque cursor, a limit, and sorting by columns of an allow-list."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from app.api.errors import ApiError
from app.db.keyset import Order, Slice, Sortable, python_type

MAX_LIMIT = 500

Item = TypeVar("Item")
Row = TypeVar("Row")


class Page(BaseModel, Generic[Item]):
    """Some items of a list."""

    items: list[Item]
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the next page; null: this was the last one"
    )


@dataclass(frozen=True, slots=True)
class PageQuery:
    """The query parameters that every list takes."""

    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items")] = 50
    cursor: Annotated[
        str | None, Query(max_length=2000, description="`next_cursor` of the page before")
    ] = None


def place(
    query: PageQuery, sort: str, columns: Mapping[str, Sortable], key: Sortable
) -> tuple[Order, tuple[Any, Any] | None]:
    """The order that `sort` names (`name`, or `-name` for descending), and where the page begins.

    Only names in `columns` count. 422 for another one, and for a cursor of another sorting.
    """
    name = sort.removeprefix("-")
    if name not in columns:
        raise ApiError(
            422,
            "sort",
            f"This list cannot be sorted by {name!r}.",
            f"Possible: {', '.join(columns)}; with - in front descending.",
        )
    order = Order(columns[name], key, descending=sort.startswith("-"))
    if query.cursor is None:
        return order, None
    return order, _read_cursor(query.cursor, sort, order)


def page_of(
    found: Slice[Row], sort: str, present: Callable[[Row], Item]
) -> dict[str, Sequence[Item] | str | None]:
    """The members of a `Page`, each row presented by `present`."""
    after = found.next_after
    return {
        "items": [present(row) for row in found.rows],
        "next_cursor": None if after is None else _write_cursor(sort, after),
    }


def _write_cursor(sort: str, after: tuple[Any, Any]) -> str:
    values = [each.isoformat() if isinstance(each, datetime) else each for each in after]
    values = [str(each) if isinstance(each, UUID) else each for each in values]
    text = json.dumps([sort, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str, order: Order) -> tuple[Any, Any]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        of_sort, by, key = json.loads(text)
        if of_sort != sort:
            raise ValueError
        return _typed(by, python_type(order.by)), _typed(key, python_type(order.key))
    except (binascii.Error, ValueError, TypeError, RecursionError, AttributeError):
        raise ApiError(
            422,
            "cursor",
            "This cursor is not one that this list gave out for this sorting.",
            "Begin without a cursor.",
        ) from None


def _typed(value: Any, kind: type[Any]) -> Any:
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError
        return moment
    if kind is UUID:
        return UUID(value)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError
    if kind is int and not -(2**63) <= value < 2**63:
        raise ValueError
    if kind is str and "\0" in value:
        raise ValueError
    if kind is str:
        value.encode()  # half a character is one that no list gave out
    return value
