"""A version as people get to see it: where it stands, and what this very person may do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.access.actor import Actor
from app.access.scopes import Scope
from app.db.models import Campaign, CampaignVersion, VersionApproval
from app.db.repositories import approvals, campaigns, versions
from app.db.repositories.access import users
from app.mailer.domain.delivery.approval import Approval, why_not_approver
from app.mailer.domain.delivery.job import Cause
from app.mailer.domain.version import VersionEvent, WorkflowState, allowed_events
from app.mailer.services.approve_version import approval_rule
from app.mailer.services.lock_version import is_locked

_E = VersionEvent
#: What each event asks for; those that are not here concern the campaign as a whole.
_SCOPES: dict[VersionEvent, Scope] = {
    _E.SAVE: Scope.CAMPAIGN_WRITE,
    _E.PUBLISH: Scope.CAMPAIGN_WRITE,
    _E.REOPEN: Scope.CAMPAIGN_WRITE,
    _E.BUILD: Scope.CAMPAIGN_BUILD,
    _E.APPROVE: Scope.CAMPAIGN_APPROVE,
    _E.WITHDRAW: Scope.CAMPAIGN_APPROVE,
    _E.QUEUE: Scope.CAMPAIGN_SEND,
}
#: Writing in a built version, which makes the next one.
SAVE_AS_NEXT = "save_as_next"
VALIDATE = "validate"
TEST = "send_test_message"


@dataclass(frozen=True, slots=True)
class VersionView:
    """`approval` is a yes that counts; `locked_by` whoever has the edit lock now."""

    version: CampaignVersion
    actions: list[str]
    needs_approval: Approval
    approval: VersionApproval | None
    locked_by: str | None


def view_version(
    session: Session, actor: Actor, version: CampaignVersion, now: datetime
) -> VersionView:
    campaign = campaigns.get(session, actor.tenant_id, version.campaign_id)
    return view_versions(session, actor, campaign, [version], now)[0]


def view_versions(
    session: Session,
    actor: Actor,
    campaign: Campaign,
    shown: Sequence[CampaignVersion],
    now: datetime,
) -> list[VersionView]:
    """Some versions of one campaign; a few statements, however many they are."""
    rule = approval_rule(session, campaign)
    unbuilt = versions.newest_unbuilt_number(session, campaign.tenant_id, campaign.id)
    live = {
        each.version_id: each
        for each in approvals.live(session, campaign.tenant_id, [each.id for each in shown])
    }
    views = []
    for version in shown:
        approval = live.get(version.id)
        if approval and why_not_approver(rule, approval.approver_id, version.maker_ids):
            approval = None
        locked_by = None
        if is_locked(version, now) and version.locked_by_user_id is not None:
            holder = users.user(session, campaign.tenant_id, version.locked_by_user_id)
            locked_by = holder.display_name if holder is not None else None
        actions = _actions(actor, version, rule, approval, unbuilt, now)
        views.append(VersionView(version, actions, rule, approval, locked_by))
    return views


def _actions(
    actor: Actor,
    version: CampaignVersion,
    rule: Approval,
    approval: VersionApproval | None,
    unbuilt: int,
    now: datetime,
) -> list[str]:
    possible = allowed_events(version.workflow_state, Cause.PERSON)
    found = {
        event.value for event, scope in _SCOPES.items() if event in possible and actor.may(scope)
    }
    if is_locked(version, now) and version.locked_by_user_id != actor.user_id:
        found -= {_E.SAVE, _E.PUBLISH}
    if version.built_at is None:
        # Cut off while it was built anew: there is nothing to say yes to.
        found -= {_E.APPROVE, _E.QUEUE}
    if why_not_approver(rule, actor.identity, version.maker_ids):
        found -= {_E.APPROVE}
    if version.mode == "draft" or (rule is not Approval.NONE and approval is None):
        found -= {_E.QUEUE}
    if approval is None:
        found -= {_E.WITHDRAW}
    writable = allowed_events(version.workflow_state) & {_E.SAVE, _E.REOPEN}
    if version.workflow_state is not WorkflowState.ARCHIVED:
        if actor.may(Scope.CAMPAIGN_BUILD):
            found.add(VALIDATE)
        if actor.may(Scope.CAMPAIGN_SEND):
            found.add(TEST)
        if actor.may(Scope.CAMPAIGN_WRITE) and not writable and unbuilt < version.number:
            found.add(SAVE_AS_NEXT)
    return sorted(found)
