"""Somebody's yes to exactly these messages: given, taken back, void, and asked for at the queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.access.actor import Actor, require_scope
from app.access.scopes import Scope
from app.audit import log
from app.db.keyset import Order, Slice
from app.db.models import Campaign, CampaignVersion, VersionApproval
from app.db.repositories import approvals, campaigns
from app.db.repositories.access import tenants
from app.mailer.domain.delivery.approval import (
    Approval,
    messages_digest,
    stricter,
    why_not_approver,
)
from app.mailer.domain.errors import AccessDenied, Conflict
from app.mailer.domain.version import VersionEvent, WorkflowState, move
from app.mailer.services.versions import built_version_of, version_of


def approval_rule(session: Session, campaign: Campaign) -> Approval:
    """What the campaign needs before it may be queued: the stricter of its own and the tenant's."""
    return stricter(tenants.tenant(session, campaign.tenant_id).approval, campaign.approval)


def approve_version(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    *,
    reason: str,
    now: datetime,
    messages_sha256: str | None = None,
) -> VersionApproval:
    """Say yes to all messages of a version that may be queued. The caller commits.

    With `messages_sha256`, only if those still are the messages (`messages_of`). Raises `Conflict`
    where they are not, or there are none, and `AccessDenied` where a second person has to do it.
    """
    require_scope(actor, Scope.CAMPAIGN_APPROVE)
    campaign = campaigns.lock(session, actor.tenant_id, campaign_id)
    version = built_version_of(session, actor.tenant_id, campaign_id, version_id, lock=True)
    state = move(version.workflow_state, VersionEvent.APPROVE)
    why_not = why_not_approver(approval_rule(session, campaign), actor.identity, version.maker_ids)
    if why_not is not None:
        raise AccessDenied(why_not, "Ask somebody who neither wrote in it nor uploaded its files.")
    digest, count = messages_of(session, version)
    if not count:
        raise Conflict(
            "There is no message that could be queued.", "Decide what needs a review first."
        )
    if messages_sha256 not in (None, digest):
        raise Conflict(
            "These are no longer the messages that you looked at.", "Look again, then approve."
        )
    approval = approvals.add(
        session,
        actor.tenant_id,
        VersionApproval(
            version_id=version.id,
            messages_sha256=digest,
            message_count=count,
            approver_id=actor.identity,
            approved_by=actor.name,
            reason=reason,
            approved_at=now,
        ),
    )
    details = {
        "version_id": str(version.id),
        "version": version.number,
        "messages_sha256": digest,
        "message_count": count,
        "reason": reason,
    }
    _moved(session, actor, version, state, "campaign.approved", details, now)
    return approval


def withdraw_approval(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    *,
    reason: str,
    now: datetime,
) -> CampaignVersion:
    """Take back every yes to a version; what is queued already stays queued. The caller commits."""
    require_scope(actor, Scope.CAMPAIGN_APPROVE)
    campaigns.lock(session, actor.tenant_id, campaign_id)
    version = version_of(session, actor.tenant_id, campaign_id, version_id, lock=True)
    state = move(version.workflow_state, VersionEvent.WITHDRAW)
    found = approvals.live(session, actor.tenant_id, [version.id])
    if not found:
        raise Conflict("Nobody approved this version, or that is void already.")
    for approval in found:
        approval.voided_at, approval.void_reason = now, reason
    details = {"version_id": str(version.id), "version": version.number, "reason": reason}
    _moved(session, actor, version, state, "campaign.approval_withdrawn", details, now)
    return version


def void_approvals(
    session: Session, actor: Actor, version: CampaignVersion, reason: str, now: datetime
) -> None:
    """Make every yes to a version void, since it is no longer about the same messages."""
    found = approvals.live(session, actor.tenant_id, [version.id])
    if not found:
        return
    for approval in found:
        approval.voided_at, approval.void_reason = now, reason
    details = {"version_id": str(version.id), "version": version.number, "reason": reason}
    state = move(version.workflow_state, VersionEvent.LAPSE)
    _moved(session, actor, version, state, "campaign.approval_void", details, now)


def void_outdated_approvals(
    session: Session, actor: Actor, version: CampaignVersion, reason: str, now: datetime
) -> None:
    """As `void_approvals`, where the messages that may be queued are others than the approved."""
    found = approvals.live(session, actor.tenant_id, [version.id])
    if found and any(each.messages_sha256 != messages_of(session, version)[0] for each in found):
        void_approvals(session, actor, version, reason, now)


def require_approval(session: Session, campaign: Campaign, version: CampaignVersion) -> None:
    """Raises `Conflict` where the rule asks for a yes that nobody gave to these very messages.

    The messages are hashed anew, in the transaction that queues them.
    """
    rule = approval_rule(session, campaign)
    if rule is Approval.NONE:
        return
    found = approvals.live(session, version.tenant_id, [version.id])
    if found:
        digest, _count = messages_of(session, version)
        found = [each for each in found if each.messages_sha256 == digest]
    if not found:
        raise Conflict(
            f"Version {version.number} has to be approved before it is queued, and is not (or not "
            "as it is now).",
            "Somebody with the scope campaign:approve has to look at it and approve it.",
        )
    if all(why_not_approver(rule, each.approver_id, version.maker_ids) for each in found):
        raise Conflict(
            f"Version {version.number} was approved only by people who wrote in it or "
            "uploaded its files.",
            "A second person has to approve it.",
        )


def messages_of(session: Session, version: CampaignVersion) -> tuple[str, int]:
    """What an approval of the version is bound to, and how many messages that are."""
    return messages_digest(approvals.messages(session, version.tenant_id, version.id))


def messages_to_approve(
    session: Session, actor: Actor, campaign_id: UUID, version_id: UUID
) -> tuple[str | None, int]:
    """`messages_of` for whoever looks before they approve; None and 0 of one that is not built."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    version = version_of(session, actor.tenant_id, campaign_id, version_id, content=False)
    return (None, 0) if version.built_at is None else messages_of(session, version)


def page_approvals(
    session: Session,
    actor: Actor,
    campaign_id: UUID,
    version_id: UUID,
    *,
    order: Order,
    after: tuple[Any, Any] | None,
    limit: int,
) -> Slice[VersionApproval]:
    """A page of a version's approvals, the void ones too."""
    require_scope(actor, Scope.CAMPAIGN_READ)
    version = version_of(session, actor.tenant_id, campaign_id, version_id)
    return approvals.page(
        session, actor.tenant_id, version.id, order=order, after=after, limit=limit
    )


def _moved(
    session: Session,
    actor: Actor,
    version: CampaignVersion,
    state: WorkflowState,
    action: str,
    details: dict[str, object],
    now: datetime,
) -> None:
    before = {"workflow_state": version.workflow_state.value}
    version.workflow_state = state
    session.flush()
    log.record(
        session,
        actor,
        action,
        "campaign",
        version.campaign_id,
        details,
        now,
        before=before,
        after={"workflow_state": version.workflow_state.value},
    )
