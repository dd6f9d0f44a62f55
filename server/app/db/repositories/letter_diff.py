"""What the letters of two built versions of a campaign have and have not in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import CompoundSelect, exists, func, literal, or_, select, union_all
from sqlalchemy.orm import Session, aliased

from app.db.models import Job


class LetterChange(NamedTuple):
    """An entry, and whether its letter was `added`, `removed` or `changed`."""

    entry_id: str
    kind: str
    before_job_id: UUID | None
    after_job_id: UUID | None
    to_display: str
    subject: str


def counts(session: Session, tenant_id: UUID, before: UUID, after: UUID) -> dict[str, int]:
    """How many letters were added, removed and changed."""
    found = _changes(tenant_id, before, after, None).subquery()
    rows = session.execute(select(found.c.kind, func.count()).group_by(found.c.kind))
    return {kind: count for kind, count in rows}  # noqa: C416 - rows are not pairs to mypy


def page(
    session: Session,
    tenant_id: UUID,
    before: UUID,
    after: UUID,
    *,
    kind: str | None,
    behind: str | None,
    limit: int,
) -> Sequence[LetterChange]:
    """The next `limit` changes behind an entry id, in the order of entry ids."""
    found = _changes(tenant_id, before, after, kind).subquery()
    query = select(found).order_by(found.c.entry_id).limit(limit)
    if behind is not None:
        query = query.where(found.c.entry_id > behind)
    return [LetterChange(*row) for row in session.execute(query)]


def _changes(tenant_id: UUID, before: UUID, after: UUID, kind: str | None) -> CompoundSelect[Any]:
    old, new = aliased(Job), aliased(Job)
    of_old = (old.tenant_id == tenant_id, old.version_id == before)
    of_new = (new.tenant_id == tenant_id, new.version_id == after)
    same_entry = old.entry_id == new.entry_id
    nothing = literal(None, Job.id.type)
    queries: dict[str, Any] = {
        "added": select(
            new.entry_id.label("entry_id"),
            literal("added").label("kind"),
            nothing.label("before_job_id"),
            new.id.label("after_job_id"),
            new.to_display.label("to_display"),
            new.subject.label("subject"),
        ).where(*of_new, ~exists().where(*of_old, same_entry)),
        "removed": select(
            old.entry_id, literal("removed"), old.id, nothing, old.to_display, old.subject
        ).where(*of_old, ~exists().where(*of_new, same_entry)),
        "changed": select(
            new.entry_id, literal("changed"), old.id, new.id, new.to_display, new.subject
        )
        .join(old, same_entry)
        .where(
            *of_old,
            *of_new,
            or_(
                new.content_sha256.is_distinct_from(old.content_sha256),
                new.build_status != old.build_status,
            ),
        ),
    }
    return union_all(*(query for name, query in queries.items() if kind in (None, name)))
