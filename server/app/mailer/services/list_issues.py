"""What was found in a version."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.db.keyset import Order, Slice
from app.db.models import JobIssue
from app.db.repositories import issues, versions
from app.db.repositories.issues import IssueFilter
from app.mailer.domain.errors import NotFound


def page_issues(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    filters: IssueFilter,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[JobIssue]:
    """Some issues of a version, its own and its entries'; `NotFound` where it is not there."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    if versions.find(session, actor.tenant_id, campaign_id, version_id) is None:
        raise NotFound(f"There is no version {version_id}.")
    return issues.page(
        session, actor.tenant_id, version_id, filters, order=order, after=after, limit=limit
    )
