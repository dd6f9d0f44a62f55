"""Long work as a thing of its own: begun by a request, done by a worker, watched by anybody.

The request that begins it returns at once. The operation's row holds all that a worker needs, so
that it outlives this process, and says how far the work is and how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, ActorKind, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import Operation, OperationStatus
from app.db.repositories import jobs, operations, versions
from app.db.repositories.operations import OperationFilter
from app.mailer.domain.delivery.review import Refused
from app.mailer.domain.errors import CampaignInvalid, Conflict, MailerError
from app.mailer.domain.issues import MOST_ISSUES
from app.mailer.domain.storable import storable
from app.mailer.domain.version import VersionEvent, move


class Kind(StrEnum):
    """What the work is."""

    IMPORT = "import"
    VALIDATE = "validate"
    BUILD = "build"
    TEST_SEND = "test_send"
    APPEND_SENT = "append_sent"


#: What somebody needs who begins it.
SCOPE_OF: Mapping[Kind, Scope] = {
    Kind.IMPORT: Scope.CAMPAIGN_WRITE,
    Kind.VALIDATE: Scope.CAMPAIGN_BUILD,
    Kind.BUILD: Scope.CAMPAIGN_BUILD,
    Kind.TEST_SEND: Scope.CAMPAIGN_SEND,
    Kind.APPEND_SENT: Scope.CAMPAIGN_SEND,
}
#: A second one of these beside the first would only do the same again.
_ONE_AT_A_TIME = frozenset({Kind.VALIDATE, Kind.BUILD, Kind.APPEND_SENT})


class AlreadyRunning(Conflict):
    """The same work waits or runs already: `operation_id` names it."""

    def __init__(self, operation: Operation) -> None:
        what = operation.kind.replace("_", " ")
        super().__init__(
            f"This {what} was asked for already and is not over yet.",
            f"Watch the operation {operation.id}, or cancel it and ask again.",
        )
        self.operation_id = operation.id


def start_operation(
    session: Session,
    actor: Actor,
    kind: Kind,
    *,
    now: datetime,
    request: Mapping[str, Any] | None = None,
    campaign_id: UUID | None = None,
    version_id: UUID | None = None,
) -> Operation:
    """Put work down for a worker; the caller commits, and answers before it begins.

    A version alone will do, its campaign is found. Raises `NotFound`, `AlreadyRunning` where a
    validation or build of this version, or a filing of copies of this campaign, is not over yet,
    and `Conflict` or `IllegalMove` where it is known already that the version cannot be built.
    """
    require_scope(actor, SCOPE_OF[kind])
    if version_id is not None:
        campaign_id = operations.lock_version(session, actor.tenant_id, version_id, campaign_id)
    elif campaign_id is not None:
        operations.lock_campaign(session, actor.tenant_id, campaign_id)
    if kind in _ONE_AT_A_TIME:
        other = operations.live_one(
            session, actor.tenant_id, kind, campaign_id=campaign_id, version_id=version_id
        )
        if other is not None:
            raise AlreadyRunning(other)
    if kind is Kind.BUILD and version_id is not None:
        jobs.refuse_queued(session, actor.tenant_id, version_id)
        move(versions.state_of(session, actor.tenant_id, version_id), VersionEvent.BUILD)
    return operations.add(
        session,
        actor.tenant_id,
        Operation(
            kind=kind.value,
            campaign_id=campaign_id,
            version_id=version_id,
            request=storable(dict(request or {})),
            actor=_row_of(actor),
            phase="",
            done=0,
            tries=0,
            fence=0,
            created_at=now,
        ),
    )


def get_operation(session: Session, actor: Actor, operation_id: UUID) -> Operation:
    """One operation of the tenant, as it stands now."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    return operations.get(session, actor.tenant_id, operation_id)


def page_operations(
    session: Session,
    actor: Actor,
    filters: OperationFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[Operation]:
    """Some of the tenant's operations."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    return operations.page(session, actor.tenant_id, filters, order=order, after=after, limit=limit)


def request_cancel(
    session: Session, actor: Actor, operation_id: UUID, now: datetime
) -> tuple[Operation, bool]:
    """Cancel one that waits, ask the worker of one that runs; and whether that is new."""
    require_scope(actor, Scope.CAMPAIGN_BUILD)
    before = operations.get(session, actor.tenant_id, operation_id)
    if before.status is OperationStatus.CANCELLED or (
        before.status is OperationStatus.RUNNING and before.cancel_requested_at is not None
    ):
        return before, False
    if not operations.request_cancel(session, actor.tenant_id, operation_id, now):
        raise Conflict("This operation is over.", "There is nothing left to cancel.")
    log.record(
        session,
        actor,
        "operation.cancelled",
        "operation",
        operation_id,
        {"kind": before.kind, "version_id": before.version_id},
        now,
    )
    return operations.get(session, actor.tenant_id, operation_id), True


def actor_of(operation: Operation) -> Actor:
    """Whoever asked for it, as they were then: `as_now` tells what they may still do."""
    row = operation.actor
    return Actor(
        tenant_id=operation.tenant_id,
        kind=ActorKind(row["kind"]),
        id=row["id"],
        name=row["name"],
        scopes=frozenset(row["scopes"]),
        user_id=UUID(row["user_id"]) if row["user_id"] else None,
        address=row["address"],
        made_with=row.get("made_with"),
    )


def _row_of(actor: Actor) -> dict[str, Any]:
    return {
        "kind": actor.kind.value,
        "id": actor.id,
        "name": actor.name,
        "scopes": sorted(actor.scopes),
        "user_id": str(actor.user_id) if actor.user_id else None,
        "address": actor.address,
        "made_with": actor.made_with,
    }


# ---------------------------------------------------------------- what a row can hold


def problem_row(error: MailerError) -> dict[str, Any]:
    """What went wrong, without the terms of HTTP: `error` has the names of the error's classes,
    the most special first.
    """
    problem: dict[str, Any] = {
        "error": [each.__name__ for each in type(error).__mro__ if issubclass(each, MailerError)],
        "detail": error.message,
        "hint": error.hint,
    }
    if isinstance(error, CampaignInvalid):
        problem["issues"] = [issue.as_dict() for issue in error.issues[:MOST_ISSUES]]
        problem["issue_count"] = len(error.issues)
    if isinstance(error, Refused):
        problem["refused"] = dict(error.refused)
    return dict(storable(problem))


def fault_row() -> dict[str, Any]:
    """For what is the program's own fault: its log says more than anybody may read here."""
    return {"error": [], "detail": "Something went wrong in the program itself.", "hint": ""}
