"""Queries about every column that holds sealed values, for a change of the master key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    LargeBinary,
    Subquery,
    and_,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.db.models import CampaignVersion, IdempotencyKey, MailAccount, Tenant, User
from app.mailer.domain.sealed import sealed_place

_Model = type[MailAccount] | type[CampaignVersion] | type[User] | type[IdempotencyKey]
#: A row's key without the tenant.
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed values; `keys` tell the rows of one tenant apart."""

    model: _Model
    field: str
    keys: tuple[str, ...] = ("id",)

    @property
    def name(self) -> str:
        return f"{self.model.__tablename__}.{self.field}"

    def place(self, tenant_id: UUID, key: Key) -> str:
        """What the value of this row is bound to."""
        row = "/".join(str(part) for part in key)
        return sealed_place(tenant_id, self.model.__tablename__, row, self.field)

    @property
    def _values(self) -> InstrumentedAttribute[Any]:
        column: InstrumentedAttribute[Any] = getattr(self.model, self.field)
        return column

    @property
    def _key(self) -> list[InstrumentedAttribute[Any]]:
        return [getattr(self.model, key) for key in self.keys]

    def _under_another(self, tenant_id: UUID, head: bytes) -> ColumnElement[bool]:
        begin = func.substr(self._values, 1, len(head), type_=LargeBinary)
        return and_(self.model.tenant_id == tenant_id, self._values.is_not(None), begin != head)

    def _some_key_ids(self, length: int) -> Subquery:
        """Behind the version, each value has the id of its master key; of every tenant."""
        key_id = func.substr(self._values, 2, length, type_=LargeBinary).label("key_id")
        return select(key_id).where(self._values.is_not(None)).limit(_LOOKED_AT).subquery()


#: What nobody can make anew, if it cannot be read.
_LASTING = (
    SealedColumn(MailAccount, "smtp_password"),
    SealedColumn(MailAccount, "imap_password"),
    SealedColumn(CampaignVersion, "secrets"),
    SealedColumn(User, "totp_secret"),
)
COLUMNS = (*_LASTING, SealedColumn(IdempotencyKey, "answer", ("actor_id", "key")))
#: How many values of a column `other_key_id` looks at, since it is asked every few seconds.
_LOOKED_AT = 500


def tenant_ids(session: Session) -> Sequence[UUID]:
    return session.scalars(select(Tenant.id).order_by(Tenant.id)).all()


def other_key_id(session: Session, key_ids: Sequence[bytes]) -> bytes | None:
    """The id of a master key that stored secrets are under and that is none of `key_ids`.

    A look and no proof: of each column only so many values are read, whatever their tenant.
    """
    for column in _LASTING:
        some = column._some_key_ids(len(key_ids[0]))
        query = select(some.c.key_id).where(some.c.key_id.not_in(key_ids)).limit(1)
        if (found := session.scalar(query)) is not None:
            return bytes(found)
    return None


def count_others(session: Session, tenant_id: UUID, column: SealedColumn, head: bytes) -> int:
    """How many of a tenant's values do not begin with `head`: those under another master key."""
    query = select(func.count()).where(column._under_another(tenant_id, head))
    return session.scalar(query.select_from(column.model)) or 0


def page_of_others(
    session: Session,
    tenant_id: UUID,
    column: SealedColumn,
    head: bytes,
    *,
    after: Key | None,
    limit: int,
) -> Iterator[tuple[Key, bytes]]:
    """The next of them behind the row `after`, in the order of their keys."""
    query = (
        select(*column._key, column._values)
        .where(column._under_another(tenant_id, head))
        .order_by(*column._key)
        .limit(limit)
    )
    if after is not None:
        last = [literal(part, key.type) for part, key in zip(after, column._key, strict=True)]
        query = query.where(tuple_(*column._key) > tuple_(*last))
    for row in session.execute(query).all():
        yield tuple(row[:-1]), bytes(row[-1])


def exchange(
    session: Session, tenant_id: UUID, column: SealedColumn, key: Key, old: bytes, new: bytes
) -> bool:
    """Put `new` in the place of `old`; False where somebody put something else there meanwhile."""
    same_row = [each == part for each, part in zip(column._key, key, strict=True)]
    changed = session.execute(
        update(column.model)
        .where(column.model.tenant_id == tenant_id, *same_row, column._values == old)
        .values({column.field: new})
        .execution_options(synchronize_session=False)
    )
    assert isinstance(changed, CursorResult)
    return changed.rowcount == 1
