"""Prove the chain of a tenant's audit log, or name the first entry that breaks it.

Give these a session of `db.session.reading`: entries and head are then of one moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.development import USER as DEVELOPMENT_USER
from app.access.scopes import Scope
from app.db.repositories import audit
from app.mailer.domain.audit_chain import Break, Head, Link, Walk
from app.mailer.ports import Progress

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found: `checked` entries in order up to `head`, and where it broke, if it did.

    `complete`: the end of the log was reached. Only with it, and without `broken`, is the log
    proved from where it began.
    """

    tenant_id: UUID
    checked: int
    head: Head | None
    complete: bool
    broken: Break | None

    @property
    def proved(self) -> bool:
        return self.complete and self.broken is None


def verify_audit(
    session: Session,
    actor: Actor,
    *,
    after: Head | None = None,
    limit: int | None = None,
    expected: Head | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Follow the chain of the actor's tenant; needs `audit:read`.

    `after` is a head up to which it was proved before; `limit` ends the walk early; `expected` is
    a head that was noted elsewhere and has to be met on the way. Memory does not grow with the log.
    """
    require_scope(actor, Scope.AUDIT_READ)
    return verify_tenant(
        session, actor.tenant_id, after=after, limit=limit, expected=expected, progress=progress
    )


def verify_all(session: Session, progress: Progress | None = None) -> list[tuple[str, Verified]]:
    """Every tenant's log with the tenant's name: for whoever may read the database anyway."""
    return [
        (tenant.slug, verify_tenant(session, tenant.id, progress=progress))
        for tenant in audit.tenants(session)
    ]


def verify_tenant(
    session: Session,
    tenant_id: UUID,
    *,
    after: Head | None = None,
    limit: int | None = None,
    expected: Head | None = None,
    progress: Progress | None = None,
) -> Verified:
    """As `verify_audit`, for whoever has checked the scope."""
    noted = audit.head(session, tenant_id)
    walk = Walk(tenant_id, after)
    total = noted.sequence - walk.head.sequence if noted is not None else None
    checked = 0
    broken: Break | None = None
    for found in _links(session, tenant_id, after):
        if limit is not None and checked == limit:
            return Verified(tenant_id, checked, walk.head, False, None)
        broken = found if isinstance(found, Break) else _step(walk, found, noted, expected)
        if broken is not None:
            break
        checked += 1
        if progress is not None and checked % _PAGE == 0:
            progress("audit entries", checked, total)
    if broken is None:
        broken = _end(walk.head, noted, expected)
    if (
        broken is None
        and not walk.head.sequence
        # Development's own user is the one that is made without an entry.
        and audit.has_what_is_recorded(session, tenant_id, but_user=DEVELOPMENT_USER)
    ):
        broken = Break(
            1, "it is missing, though there is what had to be recorded: all were deleted"
        )
    head = walk.head if walk.head.sequence else None
    return Verified(tenant_id, checked, head, True, broken)


def _links(session: Session, tenant_id: UUID, after: Head | None) -> Iterator[Link | Break]:
    """The entries in order, a page at a time; a `Break` in the place of one that is no entry."""
    last = after.sequence if after is not None else None
    size = _PAGE
    while True:
        try:
            page = audit.in_order(session, tenant_id, after=last, limit=size)
            links = [audit.link_of(entry) for entry in page]
        except (ValueError, TypeError, AttributeError, LookupError):
            if size > 1:
                size = 1
                continue
            number = audit.next_number(session, tenant_id, last)
            yield Break(number or 0, "it cannot be read")
            return
        if not links:
            return
        yield from links
        last = links[-1].sequence


def _step(walk: Walk, found: Link, noted: Head | None, expected: Head | None) -> Break | None:
    if noted is None or found.sequence > noted.sequence:
        return Break(found.sequence, "it stands behind the end that is noted for the log")
    broken = walk.step(found)
    if broken is None and expected is not None and found.sequence == expected.sequence:
        return _differs(walk.head, expected)
    return broken


def _differs(head: Head, expected: Head) -> Break | None:
    if head.hash == expected.hash:
        return None
    return Break(
        head.sequence,
        "its hash is not the one that was noted elsewhere: the log was written anew up to here",
    )


def _end(head: Head, noted: Head | None, expected: Head | None) -> Break | None:
    """What is wrong where the entries end."""
    last = noted.sequence if noted is not None else 0
    if head.sequence < last:
        return Break(head.sequence + 1, "it is missing, and so is everything behind it")
    if head.sequence > last:
        return Break(last + 1, "it is missing: the log once went further")
    if expected is not None and head.sequence < expected.sequence:
        return Break(head.sequence + 1, "it is missing: the log once went further")
    if noted is not None and head.hash != noted.hash:
        return Break(head.sequence, "the hash that is noted for the end of the log is another")
    return None
