"""What all tables share: naming, keys, times, JSON and statuses, alike on SQLite and Postgres."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Integer,
    MetaData,
    Text,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.mailer.domain.storable import clean_text

_INT64 = range(-(2**63), 2**63)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware on both sides, kept in UTC to the microsecond. A naive time is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time without a time zone cannot be stored.")
        value = value.astimezone(UTC)
        # SQLite compares its times as text, which is right only where all are written alike.
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class PlainText(TypeDecorator[str]):
    """Text, of which Postgres stores all: campaign files can spell what it does not."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        return clean_text(value) if value else value


class JsonDocument(TypeDecorator[Any]):
    """A JSON document kept as text, so that the order of keys and the spelling of numbers stay.

    JSONB would sort the keys; a float would turn `1.10` into `1.1`. Numbers with a fraction come
    back as `Decimal`.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str | None:
        return None if value is None else dump_document(value)

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Any:
        return None if value is None else json.loads(value, parse_float=Decimal)


def dump_document(value: object) -> str:
    """`value` as compact JSON, keys in their own order, a `Decimal` as the number it spells."""
    try:
        return orjson.dumps(value, default=_number).decode()
    except TypeError:
        # orjson takes no integer beyond 64 bits, and a customer number may be one.
        return orjson.dumps(_with_large_numbers(value), default=_number).decode()


def _number(value: object) -> object:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def _with_large_numbers(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _with_large_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_large_numbers(item) for item in value]
    if isinstance(value, int) and value not in _INT64:
        return orjson.Fragment(str(value))
    return value


#: Small JSON, JSONB on Postgres; `None` is SQL's NULL.
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

#: The key of a table with many rows: 64 bits, and on SQLite its own row number.
RowNumber = BigInteger().with_variant(Integer, "sqlite")


def status_type(kind: type[StrEnum], name: str) -> Enum:
    """The column type of a status: its values as text, and a CHECK that refuses any other."""
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=20,
        values_callable=lambda members: [member.value for member in members],
    )


class Base(DeclarativeBase):
    """All models. The naming convention gives every constraint a name that a migration can use."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UtcDateTime,
        UUID: Uuid,
        str: PlainText,
        dict[str, Any]: Json,
        list[str]: Json,
    }


UuidKey = Annotated[UUID, mapped_column(primary_key=True, default=uuid4)]
RowKey = Annotated[int, mapped_column(RowNumber, primary_key=True, autoincrement=True)]


class OfTenant:
    """Mixin: the row belongs to a tenant."""

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
